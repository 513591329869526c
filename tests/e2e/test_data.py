"""Data really moves: Airbyte's engine brings it, dbt makes tables of it, and a gate lets them pass."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest

from .airflow import Airflow
from .conftest import Checkout

ELT = 600
"""Seconds for `elt` on two busy cores, the connector's first installation included."""

DOUBLED = "select count(*) - count(distinct id) from raw.purchases"
TABLES = ("gold.revenue_by_day", "gold.customers", "gold.best_products")


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


def test_elt_brings_data_from_airbyte_to_gold(machine: Checkout) -> None:
    airflow = Airflow.of(machine)
    airflow.wait_for_dag("elt")
    assert airflow.run("elt", ELT)["state"] == "success"
    first = rows(machine)
    assert set(first) == set(TABLES)
    assert min(first.values()) > 0, first
    # A second run finds the same people and goods (faker invents new days for the purchases) and doubles no row.
    assert airflow.run("elt", ELT)["state"] == "success"
    second = rows(machine)
    assert {name: second[name] for name in SAME} == {name: first[name] for name in SAME}
    assert ask(machine, DOUBLED).strip() == "0"


def test_the_forward_leads_to_an_airbyte_that_asks_who_one_is(machine: Checkout) -> None:
    (airbyte,) = [
        forward["local"]
        for forward in json.loads(machine.hangar("tunnel", "--json").stdout)
        if forward["name"] == "airbyte"
    ]
    base = f"http://127.0.0.1:{airbyte}/api/public/v1"
    with urllib.request.urlopen(f"{base}/health", timeout=30) as answer:
        assert "embedded" in answer.read().decode()
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{base}/workspaces", timeout=30)
    assert refused.value.code == 401
