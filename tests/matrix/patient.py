"""A DAG whose one task takes its time, for what happens meanwhile.

Its task may be tried often: five blows in a row meet the same run more than once, and each costs it a try.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.matrix.test_data_reliability import until

NAME = "patient"
PLACE = f"/srv/airflow/dags/{NAME}.py"
TEXT = """
from datetime import timedelta

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

with DAG("patient", schedule=None, catchup=False, max_active_runs=16):
    BashOperator(task_id="work", bash_command="sleep SECONDS", retries=20, retry_delay=timedelta(seconds=5))
"""
LONG = 300
"""Seconds for what takes a minute on a quiet machine."""


@contextmanager
def deployed(machine: Checkout, seconds: int = 90) -> Iterator[None]:
    """The DAG, among those that people work on, however the test ends: the next one gets its machine as it was."""
    try:
        machine.ssh(f"tee {PLACE}", input=TEXT.replace("SECONDS", str(seconds)))
        Airflow.of(machine).wait_for_dag(NAME)
        yield
    finally:
        machine.ssh(f"rm --force {PLACE}")


def begun(airflow: Airflow) -> str:
    """A new run, whose task has begun."""
    run = str(airflow.start(NAME)["dag_run_id"])
    until(lambda: task(airflow, run)["state"] == "running", LONG, "the task did not begin")
    return run


def task(airflow: Airflow, run: str) -> dict[str, Any]:
    return dict(airflow.call("GET", f"/api/v2/dags/{NAME}/dagRuns/{run}/taskInstances/work"))


def state(airflow: Airflow, run: str) -> str:
    return str(airflow.call("GET", f"/api/v2/dags/{NAME}/dagRuns/{run}")["state"])
