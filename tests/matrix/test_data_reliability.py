"""What `elt` needs is killed in its middle: the run ends well, or fails clearly and the next one ends well; no row of
gold is lost or doubled.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_data import ask

BEGINS = 600
"""Seconds until the run is where the blow is to fall: on a busy machine tasks start late."""

ENDS = 1200
"""Seconds until it has ended: Airflow takes a task for dead five minutes after its last sign, and tries again."""

PEOPLE, GOODS = "10000", "100"
ROWS = """
select count(*), count(distinct user_id) from gold.customers union all
select count(*), count(distinct product_id) from gold.best_products union all
select (select coalesce(sum(purchases), 0) from gold.revenue_by_day),
    (select count(distinct id) from raw.purchases where purchased_at is not null)
"""


def container(user: str, name: str) -> str:
    """Kills what a container runs, as the kernel would: Docker itself did not stop it, so it comes back."""
    docker = f"as-service {user} docker"
    found = f"$(sudo {docker} compose --project-directory /srv/{user}/stack ps --quiet {name})"
    return f"sudo kill -9 $(sudo {docker} inspect --format '{{{{.State.Pid}}}}' {found})"


BLOWS = {
    "the embedded engine": container("airbyte", "engine"),
    "Airflow's scheduler": container("airflow", "scheduler"),
    "Airflow's database": container("airflow", "postgres"),
    "the warehouse": "sudo kill -9 $(systemctl show --property MainPID --value warehouse.service)",
}


def is_at(airflow: Airflow, run: str, task: str) -> bool:
    """Whether the task works: a sync has begun once it holds no worker any more."""
    path = f"/api/v2/dags/elt/dagRuns/{run}/taskInstances/{task}"
    try:
        state = airflow.call("GET", path)["state"]
    except TimeoutError:
        return False  # too busy to answer; the next look finds it
    return state in ("up_for_reschedule" if task == "sync" else "running",)


def until(is_so: Callable[[], bool], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)  # between two looks at the condition


def ended(machine: Checkout, run: str) -> str:
    """How the run ended; whatever was killed may take Airflow's API with it for a while."""
    found = ""
    deadline = time.monotonic() + ENDS
    while found not in ("success", "failed"):
        assert time.monotonic() < deadline, f"{run} is {found}"
        time.sleep(2)  # between two looks at the condition
        try:
            found = Airflow.of(machine).call("GET", f"/api/v2/dags/elt/dagRuns/{run}")["state"]
        except OSError as error:
            print(f"Airflow does not answer: {error}")
    return found


@pytest.mark.parametrize(("victim", "task"), [
    ("the embedded engine", "sync"),
    ("the warehouse", "sync"),
    ("Airflow's scheduler", "sync"),
    ("Airflow's database", "sync"),
    ("the warehouse", "build"),
    ("Airflow's scheduler", "build"),
    ("Airflow's database", "build"),
])  # fmt: skip
def test_a_blow_in_the_middle_loses_and_doubles_no_row(machine: Checkout, victim: str, task: str) -> None:
    airflow = Airflow.of(machine)
    run = airflow.start("elt")["dag_run_id"]
    until(lambda: is_at(airflow, run, task), BEGINS, f"{task} did not begin")
    machine.ssh(BLOWS[victim])
    began = time.monotonic()
    state = ended(machine, run)
    print(f"{victim} killed during {task}: {state} after {time.monotonic() - began:.0f} s")
    if state == "failed":
        retried = Airflow.of(machine).run("elt", ENDS)
        assert retried["state"] == "success"
    people, goods, purchases = (line.split("|") for line in ask(machine, ROWS.replace("\n", " ")).split())
    assert (people, goods) == ([PEOPLE, PEOPLE], [GOODS, GOODS])
    assert purchases[0] == purchases[1]


def test_everything_is_well_afterwards(machine: Checkout) -> None:
    machine.hangar("up", "--yes")
    report = machine.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
