"""Every secret that the machine made is made anew while `elt` runs: the run ends well, and whoever uses it goes on."""

from __future__ import annotations

import json
import shlex
import time

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.matrix.test_data_reliability import BEGINS, ENDS, is_at, until

PLACES = {
    "airbyte-token": "/srv/airflow/secrets/airbyte_client_secret",
    "airbyte-operator": "/srv/airbyte/secrets/airbyte_client_secret",
    "warehouse-airbyte": "/srv/warehouse/secrets/airbyte",
    "warehouse-dbt": "/srv/warehouse/secrets/dbt",
    "warehouse-loader": "/srv/warehouse/secrets/loader",
    "warehouse-reader": "/srv/warehouse/secrets/reader",
    "warehouse-monitor": "/srv/warehouse/secrets/monitor",
    "monitoring-admin": "/srv/monitoring/secrets/admin_password",
    "monitoring-scraper": "/srv/monitoring/secrets/scraper_password",
    "airflow-admin": "/srv/airflow/secrets/admin_password",
    "airflow-keys": "/srv/airflow/secrets/jwt_secret",
    "airflow-fernet": "/srv/airflow/secrets/fernet_key",
    "airflow-database": "/srv/airflow/secrets/postgres_password",
}
"""Each secret with the file that holds it, or one of several."""

RESTART = ("airflow-keys", "airflow-fernet", "airflow-database")
"""They wait until no task runs; the run goes on where it was."""

TOGETHER = [tuple(name for name in PLACES if name not in RESTART), *((name,) for name in RESTART)]

CONNECTIONS = ("warehouse_dbt", "warehouse_loader", "warehouse_reader")
LOGS_IN = """
import sys
sys.path.insert(0, "/srv/airflow/released/current")
from hangar_dags.warehouse import session
for name in sys.argv[1:]:
    with session(name) as opened:
        print(name, opened.execute("select current_user").fetchone()[0])
"""


def test_none_is_forgotten(machine: Checkout) -> None:
    listed = {one["name"] for one in json.loads(machine.hangar("rotate", "--list", "--json").stdout)}
    assert listed == set(PLACES)


@pytest.mark.parametrize("names", TOGETHER, ids=["what restarts nothing", *RESTART])
def test_secrets_change_under_a_running_dag(machine: Checkout, names: tuple[str, ...]) -> None:
    """`rotate` ends with 0 only when the new one is let in and the old one refused"""
    airflow = Airflow.of(machine)
    run = airflow.start("elt")
    until(lambda: is_at(airflow, run["dag_run_id"], "sync"), BEGINS, "the sync did not begin")
    for name in names:
        old, began = machine.ssh(f"sudo cat {PLACES[name]}").stdout, time.monotonic()
        machine.hangar(f"rotate {name}", timeout=ENDS)
        print(f"{name}: new after {time.monotonic() - began:.0f} s")
        assert machine.ssh(f"sudo cat {PLACES[name]}").stdout not in ("", old)
    ended = Airflow.of(machine).wait(
        "elt", run, ENDS
    )  # a log-in of its own: the old one may be worth nothing now
    assert ended["state"] == "success"


def test_everybody_logs_in_with_the_new_ones(machine: Checkout) -> None:
    inside = "docker compose --project-directory /srv/airflow/stack exec -T scheduler /opt/airflow/venv/bin/python -"
    said = machine.ssh(f"sudo as-service airflow {inside} {shlex.join(CONNECTIONS)}", input=LOGS_IN).stdout
    assert [line for line in said.splitlines() if line.startswith("warehouse_")] == [
        "warehouse_dbt dbt", "warehouse_loader loader", "warehouse_reader reader",
    ]  # fmt: skip
    assert machine.hangar("pipelines plan", "--exit-code").returncode == 0


def test_the_machine_keeps_its_promises_afterwards(machine: Checkout) -> None:
    machine.hangar("up", "--yes")
    report = machine.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
    assert machine.changed() == []
