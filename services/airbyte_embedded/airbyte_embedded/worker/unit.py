"""One transaction a stream: its rows, its state and its line in the ledger, all or nothing.

PyAirbyte loads a temporary table, moves it into the final one and writes the state, each in a transaction of
its own: a process that is killed in between leaves rows without their state (the next sync writes them again)
or tables that nobody removes. Here everything from the first temporary table on happens in one transaction,
which `_finalize_state_messages`, PyAirbyte's last step for a stream, commits.

Two more differences are meant. A table that is replaced keeps its identity, and with it the views and grants
that hang on it. And rows that repeat a key within one sync are reduced to the last one before they are merged.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airbyte.constants import AB_EXTRACTED_AT_COLUMN, AB_RAW_ID_COLUMN
from airbyte.shared.sql_processor import SqlProcessorBase
from airbyte_protocol.models import AirbyteStateMessage, AirbyteStateType
from sqlalchemy import text
from sqlalchemy.engine import Connection

from airbyte_embedded.worker.ledger import Entry, Job, Ledger

MERGED = "incremental_deduped_history"


class Unsupported(Exception):
    """The source does something that PyAirbyte cannot carry faithfully."""


def _holds(old: str, new: str) -> bool:
    """Whether a column of the type `old` takes every value of the type `new` as it is."""
    old, new = old.lower(), new.lower()
    return (
        old == new
        or old.startswith(("character varying", "varchar", "text"))
        or (new == "bigint" and old.startswith(("numeric", "decimal")))
        or (new == "date" and old.startswith("timestamp"))
    )


@dataclass
class Context:
    """What a processor must know of the job; filled in as the job goes on."""

    ledger: Ledger
    job: Job
    incremental: bool = False
    modes: dict[str, str] = field(default_factory=dict)  # each stream's sync mode
    deduplicated: set[str] = field(default_factory=set)  # streams that are replaced by one row a key
    rows: dict[str, int] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    committed: set[str] = field(default_factory=set)
    states: dict[str, AirbyteStateMessage] = field(default_factory=dict)  # of streams that had no rows
    earlier: dict[str, Entry] = field(default_factory=dict)  # of each stream's last sync into the same table

    def entry(self, stream: str, state: AirbyteStateMessage | None, table: str) -> Entry:
        kept, last = None, self.earlier.get(stream)
        if self.incremental:
            # a source that has nothing new may say nothing, and is where it was
            kept = state.model_dump_json() if state else last and last.state
        rows, size = self.rows.get(stream, 0), self.bytes.get(stream, 0)
        return Entry(stream, self.job.id, self.job.key, rows, size, kept, table, self.modes[stream])

    def is_new_way(self, stream: str) -> bool:
        """Whether the stream's table has rows that were written in another mode, as far as is known."""
        last = self.earlier.get(stream)
        return last is None or last.mode != self.modes[stream]


class UnitOfWork(SqlProcessorBase):
    """To be put in front of a processor of PyAirbyte's."""

    context: Context
    # both databases go the same way, `_merge_temp_table_to_final_table`
    supports_merge_insert = True
    _unit: Connection | None = None
    _stream: str = ""
    _temporary: str = ""

    @contextmanager
    def get_sql_connection(self) -> Iterator[Connection]:
        """The stream's transaction while there is one; PyAirbyte's own way otherwise."""
        if self._unit is not None:
            yield self._unit
        else:
            with super().get_sql_connection() as connection:
                yield connection

    def _execute_sql(self, sql: Any) -> Any:
        """With the driver's own error: PyAirbyte's repeats the whole statement before it says what is wrong."""
        with self.get_sql_connection() as connection:
            return connection.execute(text(sql) if isinstance(sql, str) else sql)

    def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
        self._unit = self.get_sql_engine().connect()
        self._unit.begin()
        self._stream = stream_name
        return super()._write_files_to_new_table(files, stream_name, batch_id)

    def _get_sql_column_definitions(self, stream_name: str) -> dict[str, Any]:
        """The columns with their types. Raises Unsupported where two of the source's would be one, and PyAirbyte would
        keep the values of the last alone.
        """
        offered: dict[str, list[str]] = {}
        for name in self.catalog_provider.get_stream_properties(stream_name):
            offered.setdefault(self.normalizer.normalize(name), []).append(name)
        for column, names in offered.items():
            if len(names) > 1:
                raise Unsupported(
                    f"The stream {stream_name} has {' and '.join(names)}, which would both be written to the column"
                    f" {column}. Select one of them."
                )
        columns: dict[str, Any] = super()._get_sql_column_definitions(stream_name)
        return columns

    def _drop_temp_table(self, table_name: str, *, if_exists: bool = True) -> None:
        """Put off to the end: PyAirbyte also calls this after a failure, and would hide what failed."""
        self._temporary = table_name

    def _finalize_state_messages(self, state_messages: list[AirbyteStateMessage]) -> None:
        if self._unit is None:  # no rows: `write_empty` comes for it
            self.context.states |= {
                message.stream.stream_descriptor.name: message
                for message in state_messages
                if message.type is AirbyteStateType.STREAM and message.stream
            }
            return
        self._execute_sql(
            f"DROP TABLE IF EXISTS {self._fully_qualified(self._temporary)}"
        )  # it may be the final one now
        state = state_messages[-1] if state_messages else None
        table = self.get_sql_table_name(self._stream)
        self.context.ledger.write(self._unit, self.context.entry(self._stream, state, table))
        self._unit.commit()
        self._unit.close()
        self._unit = None
        self.context.committed.add(self._stream)

    def write_empty(self, stream: str, *, replace: bool) -> None:
        """A stream that had nothing to give: its table is emptied if it is replaced, its state kept."""
        table = self.get_sql_table_name(stream)
        with self.get_sql_engine().begin() as connection:
            self._unit = connection
            if replace:
                self._execute_sql(f"DELETE FROM {self._fully_qualified(table)}")
            elif self.context.modes[stream] == MERGED and self.context.is_new_way(stream):
                self._deduplicate(stream, table)
            state = self.context.states.get(stream)
            self.context.ledger.write(connection, self.context.entry(stream, state, table))
        self._unit = None
        self.context.committed.add(stream)

    def _swap_temp_table_with_final_table(
        self, stream_name: str, temp_table_name: str, final_table_name: str
    ) -> None:
        if stream_name in self.context.deduplicated:
            self._deduplicate(stream_name, temp_table_name)
        self._keep_others_out(final_table_name)
        if not self._types(temp_table_name) <= self._types(final_table_name):
            # a column's type changed: the old table cannot take the rows. (One that the source has lost stays, empty.)
            super()._swap_temp_table_with_final_table(stream_name, temp_table_name, final_table_name)
            return
        self._execute_sql(f"DELETE FROM {self._fully_qualified(final_table_name)}")
        self._append_temp_table_to_final_table(temp_table_name, final_table_name, stream_name)

    def _merge_temp_table_to_final_table(
        self, stream_name: str, temp_table_name: str, final_table_name: str
    ) -> None:
        self._deduplicate(stream_name, temp_table_name)
        self._keep_others_out(final_table_name)
        final, temporary = self._fully_qualified(final_table_name), self._fully_qualified(temp_table_name)
        keys = self._keys(stream_name)
        same = " AND ".join(f"old.{name} = new.{name}" for name in keys)
        self._execute_sql(f"DELETE FROM {final} AS old USING {temporary} AS new WHERE {same}")
        # a key without a value equals nothing; of texts, because those can be joined as fast as keys are
        lacking = " AND ".join(
            f"({' OR '.join(f'{side}.{name} IS NULL' for name in keys)})" for side in ("old", "new")
        )
        alike = " AND ".join(
            f"coalesce(CAST(old.{name} AS text), '') = coalesce(CAST(new.{name} AS text), '')"
            f" AND (old.{name} IS NULL) = (new.{name} IS NULL)"
            for name in keys
        )
        self._execute_sql(f"DELETE FROM {final} AS old USING {temporary} AS new WHERE {lacking} AND {alike}")
        self._append_temp_table_to_final_table(temp_table_name, final_table_name, stream_name)
        if self.context.is_new_way(stream_name):
            self._deduplicate(stream_name, final_table_name)  # what another mode left there, once

    def _append_temp_table_to_final_table(
        self, temp_table_name: str, final_table_name: str, stream_name: str
    ) -> None:
        """Raises Unsupported where a column's type has changed: a database puts 7.6 into whole numbers as 8."""
        there = dict(self._types(final_table_name))
        for column, kind in sorted(self._types(temp_table_name)):
            if not _holds(old := there.get(column, kind), kind):
                raise Unsupported(
                    f"The column {column} of {final_table_name} is {old}, and of the source it is {kind} now."
                    " Sync the stream once in the mode full_refresh_overwrite, which makes the table anew, or drop the"
                    " table: either way everything is read again."
                )
        super()._append_temp_table_to_final_table(temp_table_name, final_table_name, stream_name)

    def _keep_others_out(self, table: str) -> None:
        """From here to the end of the transaction nobody else writes the table. A DuckDB file is ours alone anyway."""

    def _deduplicate(self, stream: str, table: str) -> None:
        """Of rows with one key the last that was read stays: its raw id sorts by time."""
        name, raw = self._fully_qualified(table), self._quote_identifier(AB_RAW_ID_COLUMN)
        order = f"{self._quote_identifier(AB_EXTRACTED_AT_COLUMN)} DESC, {raw} DESC"
        keys = ", ".join(self._keys(stream))
        place = f"row_number() OVER (PARTITION BY {keys} ORDER BY {order}) AS place"
        ranked = f"SELECT {raw} AS raw_id, {place} FROM {name}"
        self._execute_sql(
            f"DELETE FROM {name} AS rows USING ({ranked}) AS ranked"
            f" WHERE rows.{raw} = ranked.raw_id AND ranked.place > 1"
        )

    def _keys(self, stream: str) -> list[str]:
        return [self._quote_identifier(name) for name in self.catalog_provider.get_primary_keys(stream)]

    def _types(self, table: str) -> set[tuple[str, str]]:
        """Names and types of a table's columns, as this transaction sees them."""
        with self.get_sql_connection() as connection:
            found = connection.execute(
                text(
                    "SELECT column_name, data_type FROM information_schema.columns"
                    " WHERE table_schema = :schema AND table_name = :name"
                ),
                {"schema": self.sql_config.schema_name, "name": table},
            )
            return {(row[0], row[1]) for row in found}

    def _add_column_to_table(self, table: Any, column_name: str, column_type: Any) -> None:
        """With the name quoted, as everywhere else: `order` is a column too."""
        column = f"{self._quote_identifier(column_name)} {column_type}"
        self._execute_sql(f"ALTER TABLE {self._fully_qualified(table.name)} ADD COLUMN {column}")
