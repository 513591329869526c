"""Bring what changed in a REST source into the schema landing, with dlt.

The connection `rest_source` says where and what: its host is the base URL, its password a bearer token (may be
left out), its extra names the resource and its fields:
`{"resource": "events", "key": "id", "cursor": "updated_at", "since": "updated_since"}`.
"""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook, Connection, dag
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from hangar_dags.notify import tell_of_failure
from hangar_dags.places import program
from hangar_dags.program import Program
from pendulum import datetime

DEFAULTS = {
    "key": "id", "cursor": "updated_at", "since": "updated_since", "first": "1970-01-01T00:00:00Z",
    "rows": "data", "next": "next",
}  # fmt: skip
"""Of the connection's extra: the row's key, the field that grows with each change and the parameter that asks for
what is newer, where that begins, and where an answer holds the rows and the address of the next page."""


def source_of(connection: Connection) -> dict[str, str]:
    """What pipeline.py needs to know, without the token.

    Raises:
        AirflowFailException: the connection lacks something; trying again would not help.
    """
    extra = connection.extra_dejson
    if not connection.host or not extra.get("resource"):
        raise AirflowFailException(
            "The connection rest_source needs a host (the base URL) and an extra that names what to "
            'fetch: {"resource": "…"}.'
        )
    if unknown := sorted(set(extra) - set(DEFAULTS) - {"resource"}):
        known = ", ".join(["resource", *DEFAULTS])
        raise AirflowFailException(f"The extra of rest_source has {', '.join(unknown)}; it may have {known}.")
    url = connection.host
    if "://" not in url:
        port = f":{connection.port}" if connection.port else ""
        url = f"{connection.schema or 'https'}://{url}{port}"
    return DEFAULTS | extra | {"url": url}


class Ingest(Program):
    """Run pipeline.py, and fail with what it says."""

    def execute(self, context: Any) -> int:
        source = BaseHook.get_connection("rest_source")
        warehouse = BaseHook.get_connection("warehouse_loader")
        prefix = "DESTINATION__POSTGRES__CREDENTIALS__"
        code, line = self.start(
            [str(program("dlt") / "python"), "pipeline.py"],
            {
                "HOME": "/tmp",
                "PYTHONDONTWRITEBYTECODE": "1",
                "RUNTIME__DLTHUB_TELEMETRY": "false",
                "RUNTIME__LOG_LEVEL": "WARNING",
                "SOURCE": json.dumps(source_of(source)),
                **({"SOURCE_TOKEN": source.password} if source.password else {}),
                f"{prefix}HOST": warehouse.host or "localhost",
                f"{prefix}PORT": str(warehouse.port or 5432),
                f"{prefix}DATABASE": warehouse.schema or "warehouse",
                f"{prefix}USERNAME": warehouse.login or "",
                f"{prefix}PASSWORD": warehouse.password or "",
            },
            Path(__file__).parent,
        )
        try:
            said = json.loads(line)
        except ValueError:
            said = {"error": line or f"exit code {code}"}
        if code:
            raise AirflowException(f"dlt: {said.get('error')}")
        self.log.info("%s rows came", said["rows"])
        return int(said["rows"])


@dag(
    schedule="@hourly",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["dlt"],
    doc_md=__doc__,
    default_args={
        "retries": 2,
        "retry_delay": timedelta(minutes=1),
        "execution_timeout": timedelta(hours=1),
        "on_failure_callback": tell_of_failure,
    },
)
def dlt_ingest() -> None:
    Ingest(task_id="ingest")


dlt_ingest()
