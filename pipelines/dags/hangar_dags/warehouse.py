"""A session on the warehouse, by the name of Airflow's connection to it."""

from __future__ import annotations

from typing import Any

import psycopg
from airflow.sdk import BaseHook

SECONDS = 10
"""To wait for the server before the try counts as failed."""


def session(conn_id: str) -> psycopg.Connection[Any]:
    """In UTC, because Airbyte's moments mean UTC and do not always say so. As a context it commits, or undoes all."""
    known = BaseHook.get_connection(conn_id)
    return psycopg.connect(
        host=known.host or "localhost",
        port=known.port or 5432,
        dbname=known.schema or "warehouse",
        user=known.login,
        password=known.password,
        connect_timeout=SECONDS,
        options="-c timezone=UTC",
        application_name="airflow",
    )
