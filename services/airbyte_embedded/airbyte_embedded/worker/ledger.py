"""What was committed, kept in the destination itself: each stream's state and the job that wrote it last.

The row is written in the same transaction as the data it speaks of. So state and data can never disagree,
a job that is taken up again skips what it had committed, and a database that was restored from a backup or
made anew brings its own position along.

A job's number does not name it here: a service that was itself restored from a backup gives the same numbers again,
while the destination is newer and remembers those who had them first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    DateTime,
    MetaData,
    Table,
    Text,
    delete,
    extract,
    func,
    insert,
    inspect,
    or_,
    select,
)
from sqlalchemy.engine import Connection, Engine

NAME = "_airbyte_embedded_state"
LATER = ("job_key", "table_name", "sync_mode")
"""Columns that tables of earlier versions lack."""


@dataclass(frozen=True)
class Job:
    """The job that writes. `created_at` in seconds since 1970, as the service keeps it."""

    id: int
    created_at: float

    @property
    def key(self) -> str:
        """What no other job is called, also after the service was restored."""
        return f"{self.id}/{self.created_at!r}"


@dataclass(frozen=True)
class Entry:
    """One stream of one connection: what was read up to `state` (JSON, None in full refreshes).

    `key` is the job's; earlier versions wrote none, and the number alone. `table` holds the rows that `state` speaks
    of, `mode` is the sync mode that wrote them; earlier versions wrote neither. `committed_at` in seconds since 1970,
    by the destination's clock, once it is written.
    """

    stream: str
    job: int
    key: str | None
    rows: int
    bytes: int
    state: str | None
    table: str | None = None
    mode: str | None = None
    committed_at: float = 0.0

    def is_of(self, job: Job) -> bool:
        if self.key is None:
            return self.job == job.id and self.committed_at >= job.created_at
        return self.key == job.key


class Ledger:
    """The ledger of one connection in one schema. No primary key: DuckDB cannot delete and insert one at once."""

    def __init__(self, schema: str, connection: str) -> None:
        self._connection = connection
        self._schema = schema
        self._table = Table(
            NAME,
            MetaData(schema=schema),
            Column("connection_id", Text, nullable=False),
            Column("stream", Text, nullable=False),
            Column("job_id", BigInteger, nullable=False),  # for people; `job_key` is what counts
            Column("rows", BigInteger, nullable=False),
            Column("bytes", BigInteger, nullable=False),
            Column("state", Text),
            Column("committed_at", DateTime(timezone=True), server_default=func.now()),
            *(Column(name, Text) for name in LATER),
        )

    def ensure(self, engine: Engine) -> None:
        """The table stands, and one of an earlier version has got the columns that it lacks."""
        found = inspect(engine)
        if not found.has_table(NAME, schema=self._schema):
            self._table.create(engine, checkfirst=False)
            return
        there = {column["name"] for column in found.get_columns(NAME, schema=self._schema)}
        table = engine.dialect.identifier_preparer.format_table(self._table)
        for name in LATER:
            if name not in there:
                with engine.begin() as connection:
                    connection.exec_driver_sql(f"ALTER TABLE {table} ADD COLUMN {name} TEXT")

    def entries(self, engine: Engine, tables: Mapping[str, str]) -> dict[str, Entry]:
        """What was committed last for each stream, into the table that it has now (stream → table): rows that stand in
        another one, from before a prefix changed, are not there.
        """
        committed = extract("epoch", self._table.c.committed_at).label("committed")
        with engine.connect() as connection:
            found = connection.execute(select(self._table, committed).where(self._mine())).mappings()
            entries = [
                Entry(
                    row["stream"], row["job_id"], row["job_key"], row["rows"], row["bytes"], row["state"],
                    row["table_name"], row["sync_mode"], float(row["committed"] or 0),
                )
                for row in found
            ]  # fmt: skip
        return {one.stream: one for one in entries if one.table in (None, tables.get(one.stream))}

    def write(self, connection: Connection, entry: Entry) -> None:
        """Within the caller's transaction."""
        self.forget(connection, entry.stream, entry.table)
        values = {
            "job_id": entry.job, "job_key": entry.key, "rows": entry.rows, "bytes": entry.bytes, "state": entry.state,
            "table_name": entry.table, "sync_mode": entry.mode,
        }  # fmt: skip
        connection.execute(
            insert(self._table).values(connection_id=self._connection, stream=entry.stream, **values)
        )

    def forget(self, connection: Connection, stream: str, table: str | None) -> None:
        """Within the caller's transaction: the stream begins anew in this table."""
        named = self._table.c.table_name
        there = or_(named.is_(None), named == table)
        connection.execute(delete(self._table).where(self._mine(), self._table.c.stream == stream, there))

    def _mine(self) -> ColumnElement[bool]:
        return self._table.c.connection_id == self._connection
