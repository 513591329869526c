"""What was committed, kept in the destination itself: each stream's state and the job that wrote it last.

The row is written in the same transaction as the data it speaks of. So state and data can never disagree,
a job that is taken up again skips what it had committed, and a database that was restored from a backup or
made anew brings its own position along.
"""

from __future__ import annotations

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
    func,
    insert,
    inspect,
    select,
)
from sqlalchemy.engine import Connection, Engine

NAME = "_airbyte_embedded_state"


@dataclass(frozen=True)
class Entry:
    """One stream of one connection: what was read up to `state` (JSON, None in full refreshes)."""

    stream: str
    job: int
    rows: int
    bytes: int
    state: str | None


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
            Column("job_id", BigInteger, nullable=False),
            Column("rows", BigInteger, nullable=False),
            Column("bytes", BigInteger, nullable=False),
            Column("state", Text),
            Column("committed_at", DateTime(timezone=True), server_default=func.now()),
        )

    def ensure(self, engine: Engine) -> None:
        """The table stands."""
        if not inspect(engine).has_table(NAME, schema=self._schema):
            self._table.create(engine, checkfirst=False)

    def entries(self, engine: Engine) -> dict[str, Entry]:
        with engine.connect() as connection:
            rows = connection.execute(select(self._table).where(self._mine())).mappings().all()
        return {
            row["stream"]: Entry(row["stream"], row["job_id"], row["rows"], row["bytes"], row["state"])
            for row in rows
        }

    def write(self, connection: Connection, entry: Entry) -> None:
        """Within the caller's transaction."""
        connection.execute(delete(self._table).where(self._mine(), self._table.c.stream == entry.stream))
        values = {"job_id": entry.job, "rows": entry.rows, "bytes": entry.bytes, "state": entry.state}
        connection.execute(
            insert(self._table).values(connection_id=self._connection, stream=entry.stream, **values)
        )

    def clear(self, connection: Connection) -> None:
        """Within the caller's transaction: the connection begins anew."""
        connection.execute(delete(self._table).where(self._mine()))

    def _mine(self) -> ColumnElement[bool]:
        return self._table.c.connection_id == self._connection
