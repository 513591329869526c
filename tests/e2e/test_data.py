"""Data really moves: Airbyte's engine brings it, dbt makes tables of it, and a gate lets them pass."""

from __future__ import annotations

import json
import shlex
import urllib.error
import urllib.request

import pytest

from .airflow import Airflow
from .conftest import Checkout

ELT = 600
"""Seconds for `elt` on two busy cores, the connector's first installation included."""

DOUBLED = "select count(*) - count(distinct id) from raw.purchases"
TABLES = ("gold.revenue_by_day", "gold.customers", "gold.best_products")


SECRETS = {
    "airbyte-token": "/srv/airflow/secrets/airbyte_client_secret",
    "warehouse-dbt": "/srv/warehouse/secrets/dbt",
}
SAME = ("gold.customers", "gold.best_products")


def ask(machine: Checkout, query: str) -> str:
    return machine.ssh(f'sudo warehouse psql -d warehouse -At -c "{query}"').stdout


def rows(machine: Checkout) -> dict[str, int]:
    """How many rows each gold table has, counted by the warehouse's owner."""
    said = ask(machine, " union all ".join(f"select '{table}', count(*) from {table}" for table in TABLES))
    return {name: int(count) for name, count in (line.split("|") for line in said.split())}


def test_up_has_declared_the_pipelines(machine: Checkout) -> None:
    """A plan of the pipelines after `up` has nothing to do."""
    done = machine.hangar("pipelines plan", "--exit-code", check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_up_ends_with_data_moved(machine: Checkout) -> None:
    """`elt` has run once, and the report shows what it made: read by the account `reader`."""
    assert machine.first_up is not None
    assert "✓ First run" in machine.first_up.stdout
    gold = machine.report()["gold"]
    assert {f"gold.{table['name']}": table["rows"] for table in gold["tables"]} == rows(machine)
    assert min(rows(machine).values()) > 0
    assert len(next(table["first"] for table in gold["tables"] if table["name"] == "best_products")) == 5
    succeeded = Airflow.of(machine).call("GET", "/api/v2/dags/elt/dagRuns?state=success")["dag_runs"]
    assert gold["run"] in [run["dag_run_id"] for run in succeeded]


def test_another_run_doubles_nothing_though_secrets_change_under_it(machine: Checkout) -> None:
    """It finds the same people and goods (faker invents new days for the purchases), and what it logs in with is
    made anew meanwhile.
    """
    first, airflow = rows(machine), Airflow.of(machine)
    old = {place: machine.ssh(f"sudo cat {place}").stdout for place in SECRETS.values()}
    machine.ssh("sudo airbyte-secrets renew airflow")  # as a rotation leaves it that was killed halfway
    run = airflow.start("elt")
    for name, place in SECRETS.items():
        machine.hangar(f"rotate {name}")
        assert machine.ssh(f"sudo cat {place}").stdout not in ("", old[place])
    assert airflow.wait("elt", run, ELT)["state"] == "success"
    assert token_status(machine, old[SECRETS["airbyte-token"]]) == 401
    now = machine.ssh(f"sudo cat {SECRETS['warehouse-dbt']}").stdout
    assert "password authentication failed" in log_in(machine, old[SECRETS["warehouse-dbt"]])
    assert log_in(machine, now) == ""
    second = rows(machine)
    assert {name: second[name] for name in SAME} == {name: first[name] for name in SAME}
    assert ask(machine, DOUBLED).strip() == "0"


def log_in(machine: Checkout, password: str) -> str:
    """What the warehouse objects to dbt with this password; nothing when it lets it in."""
    login = "psql --no-psqlrc -h 127.0.0.1 -U dbt -d warehouse -c 'select 1'"
    script = f"IFS= read -r PGPASSWORD; export PGPASSWORD; exec {login}"
    return machine.ssh(f"sudo sh -c {shlex.quote(script)}", check=False, input=f"{password.strip()}\n").stderr


def token_status(machine: Checkout, secret: str) -> int:
    """What Airbyte answers to Airflow's client with this secret."""
    client = machine.ssh("sudo cat /srv/airflow/secrets/airbyte_client_id").stdout
    body = json.dumps({"client_id": client, "client_secret": secret, "grant_type": "client_credentials"})
    request = urllib.request.Request(
        f"{airbyte(machine)}/applications/token", body.encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def airbyte(machine: Checkout) -> str:
    """The address of Airbyte's API on this computer."""
    forwards = json.loads(machine.hangar("tunnel", "--json").stdout)
    (port,) = [forward["local"] for forward in forwards if forward["name"] == "airbyte"]
    return f"http://127.0.0.1:{port}/api/public/v1"


def test_the_forward_leads_to_an_airbyte_that_asks_who_one_is(machine: Checkout) -> None:
    base = airbyte(machine)
    with urllib.request.urlopen(f"{base}/health", timeout=30) as answer:
        assert "embedded" in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{base}/workspaces", timeout=30)
    assert refused.value.code == 401
