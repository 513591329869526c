"""Run one sync of Airbyte, and tell the DAGs that wait for its data.

Trigger it with the name or the id of a connection. DAGs with `schedule=[synced("NAME")]` run afterwards, as
`after_sync` does.
"""

from __future__ import annotations

from airflow.sdk import Param, dag
from hangar_dags.airbyte import AirbyteSync
from hangar_dags.notify import tell_of_failure
from pendulum import datetime


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    catchup=False,
    tags=["airbyte"],
    doc_md=__doc__,
    params={
        "connection": Param(
            "faker_to_warehouse", type="string", minLength=1, title="Airbyte's connection, name or id"
        )
    },
    default_args={"on_failure_callback": tell_of_failure},
)
def airbyte_sync() -> None:
    AirbyteSync(task_id="sync", connection="{{ params.connection }}")


airbyte_sync()
