"""Run a DAG in this process, as `airflow dags test` does."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest import mock

BUNDLE = Path(__file__).resolve().parents[2] / "pipelines" / "dags"
SLEEP = time.sleep


@dataclass(frozen=True)
class Run:
    run_id: str
    state: str
    tasks: dict[str, str]
    errors: dict[str, list[str]]
    """What each try of a task said when it failed."""
    result: dict[str, Any]


def read(path: Path) -> Any:
    """All DAGs of a bundle, or of one file, as Airflow's processor reads them."""
    from airflow.dag_processing.dagbag import BundleDagBag

    return BundleDagBag(str(path), bundle_path=BUNDLE)


def run_dag(name: str, conf: dict[str, Any], change: Callable[[Any], None] = lambda task: None) -> Run:
    """Retries, looks and waits come at once; `change` may alter each task before."""
    dag = read(BUNDLE / name / "dag.py").dags[name]  # read anew: a run leaves its parameters in it
    errors: dict[str, list[str]] = {}

    def note(context: Any) -> None:
        errors.setdefault(context["ti"].task_id, []).append(str(context["exception"]))

    def as_list(callback: Any) -> list[Any]:
        return callback if isinstance(callback, list) else [callback] if callback else []

    for task in dag.tasks:
        task.on_failure_callback = [*as_list(task.on_failure_callback), note]
        task.on_retry_callback = [*as_list(task.on_retry_callback), note]
        task.retry_delay = timedelta(0)
        if hasattr(task, "poke_interval"):
            task.poke_interval, task.exponential_backoff = 0.1, False
        change(task)
    with mock.patch("time.sleep", lambda seconds: SLEEP(min(seconds, 0.05))):
        done = dag.test(run_conf=conf)
    instances = done.get_task_instances()
    return Run(
        done.run_id,
        str(done.state),
        {ti.task_id: str(ti.state) for ti in instances},
        errors,
        {ti.task_id: ti.xcom_pull(task_ids=ti.task_id) for ti in instances},
    )
