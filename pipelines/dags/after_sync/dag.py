"""Say what a sync brought, as soon as it has ended: an example of a DAG that follows Airbyte's data, not a clock.

Whoever started the sync of `faker_to_warehouse` (airbyte_sync, elt, a DAG of yours), its success starts this one. A
sync that fails starts nothing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, task
from airflow.sdk.exceptions import AirflowException
from hangar_dags.airbyte import synced
from hangar_dags.notify import tell, tell_of_failure
from hangar_dags.warehouse import session
from pendulum import datetime

FAKER = synced("faker_to_warehouse")
CAME = "select count(*) from raw.users where _airbyte_extracted_at::timestamptz >= %(started)s"


@dag(
    schedule=[FAKER],
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["airbyte"],
    doc_md=__doc__,
    default_args={"on_failure_callback": tell_of_failure},
)
def after_sync() -> None:
    @task
    def look(triggering_asset_events: Any = None) -> list[dict[str, Any]]:
        """One entry a sync; mostly there is one."""
        # By the asset: an event stands below the alias that it came by too.
        found = [dict(event.extra) for event in triggering_asset_events.get(FAKER, ())]
        if not found:
            raise AirflowException("No sync started this run: trigger airbyte_sync instead.")
        with session("warehouse_dbt") as connection, connection.cursor() as cursor:
            for sync in found:
                cursor.execute(CAME, {"started": sync["started"]})
                (sync["people"],) = cursor.fetchone()
        return found

    @task
    def announce(syncs: list[dict[str, Any]]) -> None:
        for sync in syncs:
            tell(
                f":inbox_tray: {sync['connection']}: Airbyte's job {sync['job_id']} moved {sync['rows']} rows,"
                f" {sync['people']} of them people"
            )

    announce(look())


after_sync()
