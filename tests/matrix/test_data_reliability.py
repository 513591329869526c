"""What `elt` needs is killed in its middle: the run ends well, or fails clearly and the next one ends well; no row of
gold is lost or doubled.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_data import ask

BEGINS = 600
"""Seconds until the run is where the blow is to fall: on a busy machine tasks start late."""

ENDS = 1200
"""Seconds until it has ended: Airflow takes a task for dead five minutes after its last sign, and tries again."""

PEOPLE, GOODS = "10000", "100"
SOME, MOVED = 100, 20_100
"""Rows after which a sync is under way, and those of a whole one: the people, the goods, and one purchase each."""

ROWS = """
select count(*), count(distinct user_id) from gold.customers union all
select count(*), count(distinct product_id) from gold.best_products union all
select (select coalesce(sum(purchases), 0) from gold.revenue_by_day),
    (select count(distinct id) from raw.purchases where purchased_at is not null)
"""


def container(user: str, name: str) -> str:
    """The process that a container runs. Docker itself will not have stopped it, so it comes back."""
    docker = f"as-service {user} docker"
    found = f"$(sudo {docker} compose --project-directory /srv/{user}/stack ps --quiet {name})"
    return f"sudo {docker} inspect --format '{{{{.State.Pid}}}}' {found}"


VICTIMS = {
    "the embedded engine": container("airbyte", "engine"),
    "Airflow's scheduler": container("airflow", "scheduler"),
    "Airflow's database": container("airflow", "postgres"),
    "the warehouse": "systemctl show --property MainPID --value warehouse.service",
}
"""What tells the number of the process that is killed."""

JOBS = "file:/srv/airbyte/data/state.sqlite?mode=ro"
BLOW = f"""
import json, os, sqlite3, sys, time
victim, signal, patience, some, moved = {{victim}}, {{signal}}, {BEGINS}, {SOME}, {MOVED}
jobs = sqlite3.connect("{JOBS}", uri=True)
newest = "select id, status, rows, bytes from jobs order by id desc limit 1"
before = (jobs.execute(newest).fetchone() or (0,))[0]
print("watching", flush=True)
deadline, seen = time.time() + patience, None
while True:
    seen = jobs.execute(newest).fetchone()
    if seen and seen[0] > before and seen[1] == "running" and seen[3] > 0 and some <= seen[2] < moved:
        break
    if time.time() > deadline:
        sys.exit(f"no sync was seen under way; the last that was seen: {{{{seen}}}}")
    time.sleep(0.02)  # between two looks at the condition
os.kill(victim, signal)
print(json.dumps({{{{"job": seen[0], "rows": seen[2], "bytes": seen[3], "at": time.time()}}}}), flush=True)
"""
"""Root's: waits on the machine itself, so that nothing passes between what is seen and the blow, and says both."""

JOB = f"""
import json, sqlite3
found = sqlite3.connect("{JOBS}", uri=True).execute(
    "select status, attempts, started_at, ended_at, reason from jobs where id = {{job}}").fetchone()
print(json.dumps(found))
"""


@dataclass(frozen=True)
class Struck:
    """The job that ran when the blow fell, how far it was, and when: by the machine's clock."""

    job: int
    rows: int
    bytes: int
    at: float


def strike(machine: Checkout, victim: str, start: Callable[[], str], signal: int = 9) -> tuple[str, Struck]:
    """Starts a run and kills the victim while Airbyte has moved some of its rows and not all; answers both."""
    pid = int(machine.ssh(VICTIMS[victim]).stdout)
    argv = [
        "ssh", "-F", str(machine.state / "ssh_config"), f"hangar-{machine.environment}", "sudo python3 -u -",
    ]  # fmt: skip
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdin
        assert watching.stdout
        watching.stdin.write(BLOW.format(victim=pid, signal=signal))
        watching.stdin.close()
        assert watching.stdout.readline() == "watching\n"
        run = start()
        said = watching.stdout.read()
    assert watching.returncode == 0, "the sync was not seen under way, or the victim was gone"
    return run, Struck(**json.loads(said))


def require_midway(machine: Checkout, struck: Struck, victim: str) -> None:
    """The job had begun before the blow and went on, or failed, after it."""
    said = machine.ssh("sudo python3 -", input=JOB.format(job=struck.job)).stdout
    status, attempts, began, ended, reason = json.loads(said)
    print(
        f"job {struck.job}: {struck.rows} of {MOVED} rows after {struck.at - began:.1f} s, then the blow;"
        f" {status} {ended - struck.at:.1f} s later, {attempts} attempts, {reason}"
    )
    assert began < struck.at < ended
    assert SOME <= struck.rows < MOVED
    if victim == "the embedded engine":
        assert attempts == 2, "it was interrupted, and taken up again"


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
    struck = None
    if task == "sync":
        run, struck = strike(machine, victim, lambda: str(airflow.start("elt")["dag_run_id"]))
    else:
        run = airflow.start("elt")["dag_run_id"]
        until(lambda: is_at(airflow, run, task), BEGINS, f"{task} did not begin")
        machine.ssh(f"sudo kill -9 $({VICTIMS[victim]})")
    began = time.monotonic()
    state = ended(machine, run)
    print(f"{victim} killed during {task}: {state} after {time.monotonic() - began:.0f} s")
    if state == "failed":
        retried = Airflow.of(machine).run("elt", ENDS)
        assert retried["state"] == "success"
    if struck:
        require_midway(machine, struck, victim)
    people, goods, purchases = (line.split("|") for line in ask(machine, ROWS.replace("\n", " ")).split())
    assert (people, goods) == ([PEOPLE, PEOPLE], [GOODS, GOODS])
    assert purchases[0] == purchases[1]


def test_everything_is_well_afterwards(machine: Checkout) -> None:
    machine.hangar("up", "--yes")
    report = machine.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
