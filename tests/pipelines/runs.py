"""Run a DAG in this process, as `airflow dags test` does."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from datetime import timedelta


@dataclass(frozen=True)
class Run:
    state: str
    tasks: dict[str, str]
    errors: dict[str, list[str]]
    """What each try of a task said when it failed."""
    result: dict[str, Any]


def run_dag(dag: Any, conf: dict[str, Any]) -> Run:
    errors: dict[str, list[str]] = {}

    def note(context: Any) -> None:
        errors.setdefault(context["ti"].task_id, []).append(str(context["exception"]))

    def as_list(callback: Any) -> list[Any]:
        return callback if isinstance(callback, list) else [callback] if callback else []

    kept = {task: (task.on_failure_callback, task.on_retry_callback, task.retry_delay) for task in dag.tasks}
    for task in dag.tasks:
        task.on_failure_callback = [*as_list(task.on_failure_callback), note]
        task.on_retry_callback = [*as_list(task.on_retry_callback), note]
        task.retry_delay = timedelta(0)
        if hasattr(task, "poke_interval"):
            task.poke_interval, task.exponential_backoff = 0.1, False
    try:
        done = dag.test(run_conf=conf)
    finally:
        for task, (failure, retry, delay) in kept.items():
            task.on_failure_callback, task.on_retry_callback, task.retry_delay = failure, retry, delay
    instances = done.get_task_instances()
    return Run(
        str(done.state),
        {ti.task_id: str(ti.state) for ti in instances},
        errors,
        {ti.task_id: ti.xcom_pull(task_ids=ti.task_id) for ti in instances},
    )
