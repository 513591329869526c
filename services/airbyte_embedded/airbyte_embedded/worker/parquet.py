"""A folder of Parquet files, one a stream, for whatever reads such files.

Rows and states are committed to a DuckDB file in that folder, as for the destination `duckdb`; the Parquet files are
written from it at the end of a job. Each names in its metadata the job whose rows it holds: a job that was killed
between the two is caught up with by the next attempt. A reader gets a whole file, the old one or the new one.
"""

from __future__ import annotations

import os
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.engine import Connection, Engine

from airbyte_embedded.worker.ledger import Ledger

STORE = "_airbyte_embedded.duckdb"
USUAL = "main"  # DuckDB's own schema: its tables are files of the folder itself
MARK = "airbyte_embedded_job"


def store(folder: Path) -> Path:
    """The DuckDB file of a folder, which is made if it is missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return folder / STORE


def publish(engine: Engine, folder: Path, schema: str, tables: dict[str, str], ledger: Ledger) -> None:
    """Write the tables (stream → name) whose file is missing or holds an earlier job's rows."""
    target = folder if schema == USUAL else folder / schema
    target.mkdir(parents=True, exist_ok=True)
    present = set(inspect(engine).get_table_names(schema=schema))
    entries = ledger.entries(engine, tables)
    with engine.connect() as connection:
        for stream, table in tables.items():
            # a cleared stream has no entry any more: its file is written anew, empty
            entry = entries.get(stream)
            mark = (entry.key or str(entry.job)) if entry else ""
            file = target / f"{table}.parquet"
            if table in present and (not mark or _mark(connection, file) != mark):
                _write(connection, f'"{schema}"."{table}"', file, mark)


def _mark(connection: Connection, file: Path) -> str | None:
    if not file.exists():
        return None
    found = connection.execute(
        text("SELECT decode(value) FROM parquet_kv_metadata(:file) WHERE decode(key) = :mark"),
        {"file": str(file), "mark": MARK},
    ).scalar()
    return None if found is None else str(found)


def _write(connection: Connection, table: str, file: Path, mark: str) -> None:
    """Whole or not at all, on the disk and not only in memory: the ledger says that this job is done."""
    fresh = file.with_name(f".{file.name}.new")
    fresh.unlink(missing_ok=True)
    try:
        # COPY takes no parameters; the path is the service's own, checked when it was declared
        quoted = str(fresh).replace("'", "''")
        connection.exec_driver_sql(
            f"COPY (SELECT * FROM {table}) TO '{quoted}'"
            f" (FORMAT parquet, COMPRESSION zstd, KV_METADATA {{{MARK}: '{mark}'}})"
        )
        descriptor = os.open(fresh, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        fresh.rename(file)
    finally:
        fresh.unlink(missing_ok=True)
