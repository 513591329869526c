"""DAGs go to a live machine and back, by the commands that people type and .github/workflows/deploy.yml calls."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.matrix.test_data_reliability import until

NOTICED = 180
"""Seconds: Airflow looks for new files every 10 s and forgets what is gone a little later, a busy one later still."""

CURRENT = "sudo readlink /srv/airflow/released/current"
AT_WORK = "sudo as-service airflow docker ps --quiet --filter name=airflow-release-check"
KILL = "sudo pkill -9 --full '^/usr/bin/python3 -IB /usr/local/sbin/airflow-release deploy'"
GOOD = """
from airflow.sdk import dag, task


@dag(schedule=None)
def by_command():
    @task
    def say():
        return "{}"

    say()


by_command()
"""


@pytest.fixture(scope="module")
def dag(machine: Checkout) -> Iterator[Path]:
    """A DAG of the operator's own, in the clone and in no commit."""
    folder = machine.path / "pipelines/dags/by_command"
    folder.mkdir()
    yield folder / "dag.py"
    (folder / "dag.py").unlink(missing_ok=True)
    folder.rmdir()


def said(machine: Checkout) -> str:
    """What the DAG that is released says."""
    airflow = Airflow.of(machine)
    airflow.wait_for_dag("by_command")
    run = airflow.run("by_command", NOTICED)
    assert run["state"] == "success"
    path = f"/api/v2/dags/by_command/dagRuns/{run['dag_run_id']}/taskInstances/say/xcomEntries/return_value"
    return str(airflow.call("GET", path)["value"]).strip('"')


def listed(machine: Checkout) -> set[str]:
    found = Airflow.of(machine).call("GET", "/api/v2/dags?limit=100")
    return {one["dag_id"] for one in found["dags"]}


def test_a_deploy_reaches_airflow_whole(machine: Checkout, dag: Path) -> None:
    before = machine.ssh(CURRENT).stdout
    dag.write_text(GOOD.format("first"))
    asked = machine.hangar("dags deploy", check=False)
    assert asked.returncode == 1
    assert "changes that are in no commit" in asked.stdout + asked.stderr
    assert machine.ssh(CURRENT).stdout == before
    release = json.loads(machine.hangar("dags deploy", "--yes", "--json").stdout)
    assert machine.ssh(CURRENT).stdout != before
    assert {"by_command", "elt"} <= set(release["dags"])
    assert said(machine) == "first"


BROKEN = {
    "import no_such_module\n" + GOOD.format("broken"):
        "ModuleNotFoundError: No module named 'no_such_module' (line 1)",
    GOOD.format("ring").replace("    say()\n", "    first, second = say(), say()\n    first >> second >> first\n"):
        "AirflowDagCycleException: Cycle detected in Dag: by_command. Faulty task: say__1",
    GOOD.format("twice") + "\n\nby_command()\n": "ValueError: the DAG by_command is there twice",
}  # fmt: skip


@pytest.mark.parametrize(("text", "what"), BROKEN.items(), ids=["import", "cycle", "twice"])
def test_a_broken_dag_stops_the_deploy(machine: Checkout, dag: Path, text: str, what: str) -> None:
    before = machine.ssh(CURRENT).stdout
    dag.write_text(text)
    refused = machine.hangar("dags deploy", "--yes", check=False)
    assert refused.returncode == 1
    said = refused.stdout + refused.stderr
    assert "The DAGs were not released: the DAGs have problems." in said
    assert f"by_command/dag.py: {what}" in said
    assert machine.ssh(CURRENT).stdout == before


def test_a_deploy_that_is_killed_releases_nothing_and_the_next_one_does(machine: Checkout, dag: Path) -> None:
    before = machine.ssh(CURRENT).stdout
    dag.write_text(GOOD.format("second"))
    argv = ["./provision.py", "dags", "deploy", machine.environment, "--yes"]
    deploying = subprocess.Popen(
        argv, cwd=machine.path, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    until(lambda: bool(machine.ssh(AT_WORK, check=False).stdout), NOTICED, "the check did not begin")
    machine.ssh(KILL)
    deploying.communicate(timeout=NOTICED)
    assert deploying.returncode == 1
    assert machine.ssh(CURRENT).stdout == before
    machine.hangar("dags deploy", "--yes")
    assert machine.ssh(CURRENT).stdout != before


def test_a_rollback_takes_it_back(machine: Checkout, dag: Path) -> None:
    """From the second to the first, and from the first to what `up` had released, in which the DAG is not."""
    machine.hangar("dags rollback")
    assert said(machine) == "first"
    machine.hangar("dags rollback")
    until(lambda: "by_command" not in listed(machine), NOTICED, "Airflow still has the DAG")
    releases = json.loads(machine.hangar("dags list", "--json").stdout)
    (current,) = [one for one in releases if one["current"]]
    assert "by_command" not in current["dags"]
    left = [one["left"] for one in releases if "by_command" in one["dags"]]
    assert left[:2] == [True, True], "the newest are first; a machine that stands may have earlier ones"
