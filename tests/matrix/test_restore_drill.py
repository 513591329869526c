"""The restore drill: the machine is destroyed, a new one gets the data of the last backup, and everything is back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from typing import Any

import pytest
import yaml

from hangar.ssh.keys import ensure_key
from tests.e2e.airflow import Airflow, address
from tests.e2e.conftest import Checkout
from tests.matrix.test_data_reliability import until

AT_MOST = 1.5
"""Times a first `up` that the drill may take, from nothing to verified."""

FACTS = """
set -e
sha256sum /srv/airflow/secrets/* /srv/warehouse/secrets/* /srv/airbyte/secrets/* /srv/airbyte/data/keys/* \
    /srv/people/passwords/ana
warehouse psql -Atc "select count(*) from gold.customers" -c "select count(*) from raw.purchases" \
    -c "select string_agg(rolname, ' ' order by rolname) from pg_roles"
cat /srv/airflow/dags/mine/dag.py
cd /srv/airflow/released/current/ && find -L . -type f | sort | xargs sha256sum
python3 - <<'END'
import sqlite3
state = sqlite3.connect("file:/srv/airbyte/data/state.sqlite?mode=ro", uri=True)
for what in ("id, name, status from connections", "id, name, configuration from actors", "id, status, rows from jobs"):
    print(state.execute(f"select {what} order by id").fetchall())
END
"""


def facts(place: Checkout) -> str:
    return place.ssh("sudo sh -s", input=FACTS).stdout


def history(airflow: Airflow) -> list[tuple[Any, ...]]:
    """Every run that has ended, with its tasks."""
    runs = airflow.call("GET", "/api/v2/dags/~/dagRuns?limit=100")["dag_runs"]
    found = []
    for run in sorted((one for one in runs if one["end_date"]), key=lambda one: one["dag_run_id"]):
        tasks = airflow.call("GET", f"/api/v2/dags/{run['dag_id']}/dagRuns/{run['dag_run_id']}/taskInstances")
        states = sorted((one["task_id"], one["state"]) for one in tasks["task_instances"])
        found.append((run["dag_id"], run["dag_run_id"], run["state"], run["end_date"], states))
    return found


@pytest.fixture(scope="module")
def lived_in(checkout: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A machine from nothing (its time is what the drill is measured by), with two people, a connection and a variable
    that somebody made by hand, and a DAG that is being written.
    """
    machine = checkout
    machine.hangar("destroy", "--yes")
    began = time.monotonic()
    machine.hangar("up", "--yes", timeout=3600)
    machine.first_seconds = time.monotonic() - began
    folder = tmp_path_factory.mktemp("people")
    for name in ("ana", "ben"):
        ensure_key(folder / name, name)
        machine.hangar(f"people add {name}", "--role", "developer", "--key", f"{folder / name}.pub", "--yes")
    airflow = Airflow.of(machine)
    connection = {
        "connection_id": "by_hand",
        "conn_type": "http",
        "host": "example.org",
        "password": "sesame by hand",
    }
    airflow.call("POST", "/api/v2/connections", connection)
    airflow.call("POST", "/api/v2/variables", {"key": "by_hand", "value": "kept"})
    machine.ssh(
        "sudo mkdir -p /srv/airflow/dags/mine && echo '# half a DAG' | sudo tee /srv/airflow/dags/mine/dag.py"
    )
    return machine


def leave(place: Checkout, name: str) -> None:
    """Somebody is taken out of platform.yml while there is no machine."""
    path = place.platform
    settings = yaml.safe_load(path.read_text())
    settings["people"] = [one for one in settings["people"] if one["name"] != name]
    path.write_text(yaml.safe_dump(settings))


def test_destroyed_and_made_again_the_machine_has_everything(lived_in: Checkout) -> None:
    airflow = Airflow.of(lived_in)
    before, ran = facts(lived_in), history(airflow)
    assert ran, "there is a history to lose"
    began = time.monotonic()
    made = json.loads(lived_in.hangar("backup now", "--json").stdout)
    backed_up = time.monotonic() - began
    lived_in.hangar("destroy", "--yes")
    leave(lived_in, "ben")

    began = time.monotonic()
    lived_in.hangar("up", "--yes", "--restore", "latest", timeout=3600)
    seconds = time.monotonic() - began
    first = lived_in.first_seconds
    print(f"backup {backed_up:.0f} s ({made['seconds']} s on the machine); first up {first:.0f} s; "
          f"restored {seconds:.0f} s, {seconds / first:.2f} times a first up")  # fmt: skip

    assert facts(lived_in) == before
    airflow = Airflow.of(lived_in)
    after = history(airflow)
    assert [run for run in ran if run not in after] == []
    assert airflow.call("GET", "/api/v2/variables/by_hand")["value"] == "kept"
    shell = "sudo as-service airflow docker exec airflow-api-server-1 airflow connections get by_hand -o json"
    assert json.loads(lived_in.ssh(shell).stdout)[0]["password"] == "sesame by hand", (
        "the Fernet key is the old one"
    )
    assert lived_in.report()["broken"] == 0
    assert seconds <= AT_MOST * first


def test_platform_yml_wins_over_people_in_the_backup(lived_in: Checkout) -> None:
    password = lived_in.ssh("sudo cat /srv/people/passwords/ana").stdout.strip()
    assert Airflow(address(lived_in), password, "ana").token, "with the password from before"
    query = "select username from ab_user order by username"
    asked = f'sudo as-service airflow docker exec airflow-postgres-1 psql -h /tmp -U airflow -Atc "{query}" airflow'
    assert lived_in.ssh(asked).stdout.split() == ["admin", "ana"]
    assert lived_in.ssh("id ben", check=False).returncode != 0


def test_nothing_is_left_to_do_and_the_next_backup_works(lived_in: Checkout) -> None:
    lived_in.hangar("up", "--yes")
    assert lived_in.changed() == []
    made = json.loads(lived_in.hangar("backup now", "--json").stdout)
    assert "warehouse" in made["new"]
    assert lived_in.ssh("sudo ls -A /srv/backup").stdout.split() == [
        "lock",
        "recipients",
        "secrets",
        "spool",
        "state.json",
    ]


UNFINISHED = (
    """sudo python3 -c 'import json; print(json.load(open("/srv/backup/state.json"))["unfinished"])'"""
)
HALF = (
    "sudo as-service airflow docker exec airflow-postgres-1 psql -h /tmp -U airflow -d postgres -Atc "
    "\"select datname from pg_database where datname = 'restored'\""
)
"""A database that is being filled, beside the one that it will take the place of."""


def restore_until(place: Checkout, command: str, seconds: float = 600) -> subprocess.Popen[bytes]:
    """A restore that is at work, once a command on the machine prints something."""
    argv = ["./provision.py", "backup", "restore", place.environment, "--yes"]
    null = subprocess.DEVNULL
    running = subprocess.Popen(
        argv, cwd=place.path, start_new_session=True, stdin=null, stdout=null, stderr=null
    )
    latest = time.monotonic() + seconds
    while not place.ssh(command, check=False).stdout.strip():
        assert running.poll() is None, "it has ended before it was struck"
        assert time.monotonic() < latest
    return running


def test_killed_here_and_there_in_the_middle_of_a_restore_the_same_command_finishes_it(
    lived_in: Checkout,
) -> None:
    before = facts(lived_in)
    made = json.loads(lived_in.hangar("backup now", "--json").stdout)["made"]
    running = restore_until(lived_in, HALF)
    lived_in.ssh("sudo pkill -KILL -f '[s]bin/backup restore'", check=False)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert lived_in.ssh(UNFINISHED).stdout.strip() == made
    refused = lived_in.hangar("backup now", check=False)
    assert refused.returncode == 1
    assert f"{made} was put back in part" in refused.stderr, "no backup is made of a mixture"
    lived_in.hangar("backup restore", "--yes")
    assert facts(lived_in) == before
    assert Airflow.of(lived_in).call("GET", "/api/v2/variables/by_hand")["value"] == "kept"
    assert lived_in.ssh("sudo ls /srv/backup").stdout.split() == [
        "lock",
        "recipients",
        "secrets",
        "spool",
        "state.json",
    ]


def test_when_this_computer_goes_away_the_machine_finishes_by_itself(lived_in: Checkout) -> None:
    before = facts(lived_in)
    running = restore_until(lived_in, UNFINISHED)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    latest = time.monotonic() + 600
    while lived_in.ssh(UNFINISHED).stdout.strip():
        assert time.monotonic() < latest
    assert facts(lived_in) == before
    assert Airflow.of(lived_in).call("GET", "/api/v2/variables/by_hand")["value"] == "kept"
    lived_in.hangar("verify")
    assert lived_in.report()["broken"] == 0


DRAIN = """sudo python3 -c '
import json, sys
sys.path.insert(0, "/usr/local/lib/hangar")
from hangar_maintenance import draining, program
draining.begin(program.Airflow(json.loads(program.DESCRIBED.read_text())["airflow"]))
'"""
"""What a window and an upgrade begin with."""


def slots(place: Checkout) -> dict[str, int]:
    return {one["name"]: one["slots"] for one in Airflow.of(place).call("GET", "/api/v2/pools")["pools"]}


def test_a_backup_that_was_made_while_no_task_could_begin_lets_tasks_begin(lived_in: Checkout) -> None:
    before = slots(lived_in)
    assert any(before.values())
    lived_in.ssh(DRAIN)
    assert not any(slots(lived_in).values())
    lived_in.hangar("backup now")
    lived_in.ssh("sudo maintenance resume")
    assert slots(lived_in) == before
    lived_in.hangar("backup restore", "--yes")
    until(lambda: slots(lived_in) == before, 300, "the pools did not get their slots back")
    assert lived_in.ssh("sudo ls /srv/maintenance").stdout.split() == ["lock"]
