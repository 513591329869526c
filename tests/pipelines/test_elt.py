"""elt from Airbyte (a stand-in, see stand_in_airbyte) to tested gold tables, on a real Postgres with a real dbt."""

from __future__ import annotations

from decimal import Decimal

import shop
from stand_in_airbyte import StandIn, serve
import pytest

FAKER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture
def airbyte(warehouse, connections):
    stand_in = StandIn({FAKER: "faker-to-warehouse"}, sync=shop.sync(warehouse))
    server, address = serve(stand_in)
    connections(airbyte_default={"conn_type": "airbyte", "host": address, "login": "client", "password": "secret"})
    yield stand_in
    server.shutdown()


def test_elt_ends_with_gold_tables_that_a_reader_can_read(airbyte, warehouse, run):
    done = run("elt")
    assert done.errors == {}
    assert done.state == "success"
    assert warehouse.rows("SELECT day::text, purchases, revenue, kept FROM gold.revenue_by_day", user="reader") == [
        ("2026-03-03", 4, Decimal("4000.00"), Decimal("2000.00"))
    ]
