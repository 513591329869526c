"""Airbyte brings a shop's people, cars and purchases; dbt makes tables of them that people want; a gate checks both.

raw (Airbyte) → bronze (as it came) → silver (typed, one row each) → gold (revenue by day, customers, best products).
Every step replaces what it made before, so running it twice leaves the same rows.
"""

from __future__ import annotations

from datetime import UTC, timedelta
from datetime import datetime as moment
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, Param, dag, task
from airflow.sdk.exceptions import AirflowException
from elt.gate import measure, problems
from hangar_dags.airbyte import AirbyteSync
from hangar_dags.dbt import Dbt
from hangar_dags.notify import tell, tell_of_failure
from hangar_dags.places import DATA
from hangar_dags.warehouse import session
from pendulum import datetime

PROJECT = Path(__file__).parent / "dbt"
WAREHOUSE = "warehouse_dbt"
GOLD = Asset("warehouse.gold")
SUMMARY = """
select
    (select count(*) from gold.revenue_by_day),
    (select coalesce(sum(kept), 0) from gold.revenue_by_day),
    (select count(*) filter (where purchases > 0) from gold.customers),
    (select make || ' ' || model from gold.best_products order by place, product_id limit 1)
"""


@dag(
    schedule="@daily",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["airbyte", "dbt"],
    doc_md=__doc__,
    params={
        "connection": Param(
            "faker_to_warehouse", type="string", minLength=1, title="Airbyte's connection, name or id"
        ),
        "lost_percent": Param(
            0, type="number", minimum=0, maximum=100, title="Rows that may be missing, in percent"
        ),
        "freshness_hours": Param(24, type="integer", minimum=1, title="How old the newest row may be"),
    },
    default_args={
        "retries": 1,
        "retry_delay": timedelta(seconds=30),
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": tell_of_failure,
    },
)
def elt() -> None:
    sync = AirbyteSync(task_id="sync", connection="{{ params.connection }}", retries=2)
    hours = "{{ params.freshness_hours }}"
    fresh = Dbt(
        task_id="fresh",
        arguments=["source", "freshness", "--vars", f"{{freshness_hours: {hours}}}"],
        project=PROJECT,
    )
    build = Dbt(
        task_id="build", arguments=["build", "--vars", f"{{freshness_hours: {hours}}}"], project=PROJECT
    )
    docs = Dbt(
        task_id="docs",
        arguments=["docs", "generate", "--static", "--vars", f"{{freshness_hours: {hours}}}"],
        project=PROJECT,
        keep=("static_index.html", DATA / "dbt-docs" / "index.html"),
    )

    @task(outlets=[GOLD])
    def gate(moved: dict[str, Any], params: dict[str, Any] | None = None) -> None:
        """Fail when figures do not fit; only a run that passes makes gold news for other DAGs."""
        params = params or {}
        with session(WAREHOUSE) as connection, connection.cursor() as cursor:
            layers, pairs = measure(cursor, moment.fromisoformat(moved["started"]))
        found = problems(
            layers,
            pairs,
            synced=moved["rows"],
            lost=params["lost_percent"],
            oldest=timedelta(hours=params["freshness_hours"]),
            now=moment.now(UTC),
        )
        if found:
            raise AirflowException("The figures do not fit. " + "; ".join(found))

    @task
    def announce(moved: dict[str, Any]) -> None:
        with session(WAREHOUSE) as connection, connection.cursor() as cursor:
            cursor.execute(SUMMARY)
            days, revenue, buyers, best = cursor.fetchone()
        tell(
            f":white_check_mark: elt: {moved['rows']} rows moved; {buyers} customers, {days} days, "
            f"revenue {revenue:,.2f}, best product {best}"
        )

    checked = gate(sync.output)
    sync >> fresh >> build >> checked >> announce(sync.output)
    build >> docs


elt()
