"""Airflow's own scheduler, in this process: it decides what runs, and what it hands out runs here, one by one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from airflow.executors.base_executor import BaseExecutor
from airflow.jobs.job import Job, run_job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.models.dag import DagModel
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.sdk.definitions.dag import _run_task
from airflow.utils.session import create_session
from runs import BUNDLE, read
from sqlalchemy import select

ROUNDS = 8
"""Looks in one life of the scheduler: as many as a DAG of a few tasks needs, mostly."""

PATIENCE = 60.0
"""Seconds until a run that does not end is a fault. SQLite tells the time in whole seconds: Airflow starts a run that
came within the second that runs only in the next, however often the scheduler looks before."""


class Here(BaseExecutor):
    """An executor without workers."""

    def start(self) -> None:
        """There is nothing to start."""

    def _process_workloads(self, workloads: Sequence[Any]) -> None:
        for workload in workloads:
            del self.queued_tasks[workload.ti.key]
            with create_session() as session:
                ti = session.get(TaskInstance, workload.ti.id)
            task = read(BUNDLE / ti.dag_id / "dag.py").dags[ti.dag_id].get_task(ti.task_id)
            _run_task(ti=ti, task=task)
            self.success(workload.ti.key)

    def sync(self) -> None:
        """What was handed out has run."""

    def end(self) -> None:
        """Nothing runs."""


def switch(dag: str, *, on: bool) -> None:
    """As a person does it on Airflow's page, once Airflow has read the DAG."""
    with create_session() as session:
        session.get_one(DagModel, dag).is_paused = not on


def schedule(dag: str) -> None:
    """The scheduler's work until no run of the DAG is left to do."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        job = Job()
        runner = SchedulerJobRunner(job, num_runs=ROUNDS, scheduler_idle_sleep_time=0, executors=[Here()])
        run_job(job=job, execute_callable=runner._execute)
        if all(state in ("success", "failed") for _, state in runs(dag)):
            return
    raise AssertionError(f"The scheduler does not end: {runs(dag)}")


def runs(dag: str) -> list[tuple[str, str]]:
    """Why each run of the DAG came, and what became of it; the oldest first."""
    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == dag).order_by(DagRun.id)).all()
        return [(str(run.run_type), str(run.state)) for run in found]


def results(dag: str, task: str) -> list[Any]:
    """What this task returned in each run of the DAG; the oldest first."""
    with create_session() as session:
        found = session.scalars(select(DagRun).where(DagRun.dag_id == dag).order_by(DagRun.id)).all()
        instances = [run.get_task_instance(task, session=session) for run in found]
        return [ti.xcom_pull(task_ids=task, session=session) for ti in instances if ti]
