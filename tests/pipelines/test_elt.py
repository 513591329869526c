"""elt from Airbyte (a stand-in, see stand_in_airbyte) to tested gold tables, on a real Postgres with a real dbt."""

from __future__ import annotations

import json
import os
from decimal import Decimal
from pathlib import Path

import psycopg2
import pytest
import shop

DATA = Path(os.environ["PIPELINE_DATA"])
GOLD = """
SELECT 'revenue', array_agg(r ORDER BY day)::text FROM gold.revenue_by_day r
UNION ALL SELECT 'customers', array_agg(c ORDER BY user_id)::text FROM gold.customers c
UNION ALL SELECT 'products', array_agg(p ORDER BY product_id)::text FROM gold.best_products p
"""


def test_elt_ends_with_gold_tables_that_a_reader_can_read(airbyte, warehouse, run):
    done = run("elt")
    assert done.errors == {}
    assert done.state == "success"
    assert warehouse.rows(
        "SELECT day::text, purchases, buyers, revenue, returned, kept FROM gold.revenue_by_day", user="reader"
    ) == [("2026-03-03", 4, 4, Decimal("4000.00"), Decimal("2000.00"), Decimal("2000.00"))]
    assert warehouse.rows(
        "SELECT email, country, purchases, spent FROM gold.customers ORDER BY user_id LIMIT 2", user="reader"
    ) == [("p1@example.com", "NO", 0, 0), ("p2@example.com", "NO", 1, Decimal("1000.00"))]
    assert warehouse.rows(
        "SELECT model, sold, returned, revenue, place FROM gold.best_products ORDER BY place", user="reader"
    ) == [("MX-1", 4, 2, Decimal("2000.00"), 1), ("MX-2", 0, 0, Decimal("0.00"), 2)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        warehouse.rows("SELECT * FROM silver.users", user="reader")
    # and the page with the documentation, in one file
    page = (DATA / "dbt-docs/index.html").read_text()
    assert "gold_revenue_by_day" in page
    assert "password-of-dbt" not in page


def test_running_it_again_changes_nothing_and_new_rows_come_once(airbyte, warehouse, run):
    assert run("elt").state == "success"
    first = warehouse.rows(GOLD)
    assert run("elt").state == "success"
    assert warehouse.rows(GOLD) == first
    # a source that appends brings the same rows again, and two more people
    airbyte.sync = shop.sync(warehouse, people=10, replace=False)
    assert run("elt").errors == {}
    assert warehouse.value("SELECT count(*) FROM raw.users") == 18
    assert warehouse.value("SELECT count(*) FROM silver.users") == 10
    assert warehouse.value("SELECT sum(purchases) FROM gold.revenue_by_day") == 5


def test_rows_that_contradict_the_tests_stop_before_gold(airbyte, warehouse, run):
    def without_a_price():
        rows = shop.rows(4)
        rows["products"][0]["price"] = None
        return shop.write(warehouse, rows)

    airbyte.sync = without_a_price
    done = run("elt")
    assert done.state == "failed"
    assert done.errors["build"][-1].startswith(
        "dbt build: not_null_silver_products_price: Got 1 result, configured to fail if != 0"
    )
    assert {done.tasks[task] for task in ("gate", "announce", "docs")} == {"upstream_failed"}
    assert warehouse.rows("SELECT * FROM pg_tables WHERE schemaname = 'gold'") == []


def test_a_purchase_of_nobody_stops_it(airbyte, warehouse, run):
    def of_nobody():
        rows = shop.rows(4)
        rows["purchases"][1]["user_id"] = 99
        return shop.write(warehouse, rows)

    airbyte.sync = of_nobody
    assert "relationships_silver_purchases_user_id" in run("elt").errors["build"][-1]


def test_stale_rows_stop_it(airbyte, warehouse, run):
    airbyte.sync = shop.sync(warehouse, age="30 hours")
    done = run("elt")
    assert done.state == "failed"
    assert "raw.users: its newest row is of 20" in done.errors["fresh"][-1]
    assert done.tasks["build"] == "upstream_failed"


def test_old_rows_are_fine_where_the_run_allows_them(airbyte, warehouse, run):
    airbyte.sync = shop.sync(warehouse, age="30 hours")
    done = run("elt", freshness_hours=48, lost_percent=100)
    assert done.errors == {}


def test_rows_lost_on_the_way_are_found(airbyte, warehouse, run):
    airbyte.sync = lambda: shop.write(warehouse, shop.rows(8)) + 5
    done = run("elt")
    assert done.state == "failed"
    assert done.errors["gate"] == [
        "The figures do not fit. 18 rows arrived since the sync began, and Airbyte says that it moved 23"
    ] * len(done.errors["gate"])


def test_a_wrong_password_is_told_and_shown_nowhere(airbyte, connections, run, capfd):
    connections(
        warehouse_dbt={
            "conn_type": "postgres", "host": "127.0.0.1", "port": 1, "schema": "warehouse", "login": "dbt",
            "password": "wrong-and-secret",
        }
    )  # fmt: skip
    done = run("elt")
    assert done.state == "failed"
    assert set(done.errors) == {"fresh"}
    shown = capfd.readouterr()
    everything = shown.out + shown.err + json.dumps(done.errors)
    assert "wrong-and-secret" not in everything
    files = [path for path in (DATA / "dbt").rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if b"wrong-and-secret" in path.read_bytes()] == []
