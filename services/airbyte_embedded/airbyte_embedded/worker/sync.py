"""Syncs and clears, through PyAirbyte."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRBYTE_LOGGING_ROOT", os.environ["TMPDIR"])  # read when airbyte is imported

from airbyte.strategies import WriteStrategy
from sqlalchemy import inspect, text

from airbyte_embedded.worker import caches, parquet
from airbyte_embedded.worker.events import Events
from airbyte_embedded.worker.ledger import Entry, Job, Ledger
from airbyte_embedded.worker.locks import hold
from airbyte_embedded.worker.reading import ConnectionSource
from airbyte_embedded.worker.unit import Context

Json = dict[str, Any]
WAIT_TABLES = 120.0  # seconds for another job to make PyAirbyte's own tables in the same schema


@dataclass(frozen=True)
class Way:
    """How a group of streams is written: PyAirbyte takes one strategy for each read."""

    strategy: WriteStrategy
    incremental: bool


WAYS = {
    "full_refresh_overwrite": Way(WriteStrategy.REPLACE, False),
    "full_refresh_overwrite_deduped": Way(WriteStrategy.REPLACE, False),
    "full_refresh_append": Way(WriteStrategy.APPEND, False),
    "incremental_append": Way(WriteStrategy.APPEND, True),
    "incremental_deduped_history": Way(WriteStrategy.MERGE, True),
}


COPIES = ("full_refresh_overwrite", "full_refresh_overwrite_deduped")
"""Modes that leave in the table what the source had at the time, and nothing else."""


class Sync:
    """One job of one connection."""

    def __init__(self, order: Json, events: Events) -> None:
        self._order, self._events = order, events
        self._streams: list[Json] = order["body"]["streams"]
        body, config = order["body"], order["destination"]["config"]
        custom = body["namespaceDefinition"] == "custom_format"
        self._schema: str = body["namespaceFormat"] if custom else config["schema"]
        self._job = Job(order["job"], order["created_at"])
        modes = {stream["name"]: stream["syncMode"] for stream in self._streams}
        self._context = Context(Ledger(self._schema, order["connection"]), self._job, modes=modes)

    def run(self) -> None:
        with self._destination() as cache:
            if self._order["type"] == "sync":
                self._sync(cache)
            else:
                self._clear(cache)
            if self._order["destination"]["type"] == "parquet":
                self._publish(cache)
        # only now: files that are not there yet are no success
        self._events.succeeded(sum(self._context.rows.values()), sum(self._context.bytes.values()))

    def _publish(self, cache: Any) -> None:
        folder = Path(self._order["destination"]["config"]["destination_path"])
        parquet.publish(
            cache.get_sql_engine(), folder, self._schema, self._tables(cache), self._context.ledger
        )

    @contextlib.contextmanager
    def _destination(self) -> Iterator[Any]:
        order = self._order
        # two jobs that make the same tables at once would trip over each other
        lock = hold(
            Path(order["locks"]), f"tables {order['destination']['config']} {self._schema}", WAIT_TABLES
        )
        try:
            cache = caches.make(
                order["destination"]["type"],
                order["destination"]["config"],
                schema=self._schema,
                prefix=order["body"]["prefix"],
                scratch=Path(order["scratch"]),
            )
            cache.attach(self._context, self._events)
            self._context.ledger.ensure(cache.get_sql_engine())
        finally:
            os.close(lock)
        yield cache
        cache.close()

    def _sync(self, cache: Any) -> None:
        """Every stream once. What an earlier attempt of this job committed is counted, not read again."""
        entries = self._entries(cache)
        done = {name: entry for name, entry in entries.items() if entry.is_of(self._job)}
        self._context.earlier = entries
        self._context.rows |= {name: entry.rows for name, entry in done.items()}
        self._context.bytes |= {name: entry.bytes for name, entry in done.items()}
        source = self._source()
        ways: dict[Way, list[str]] = {}
        for name in self._context.modes:
            if name not in done:
                ways.setdefault(self._way(name), []).append(name)
        for way, names in ways.items():
            self._read(source, cache, way, names)

    def _entries(self, cache: Any) -> dict[str, Entry]:
        """What the ledger says of the tables that this job writes. A table that is gone takes its state along: the rows
        before it would be nowhere.
        """
        ledger, engine, tables = self._context.ledger, cache.get_sql_engine(), self._tables(cache)
        present = set(inspect(engine).get_table_names(schema=self._schema))
        entries = ledger.entries(engine, tables)
        for name in [name for name in entries if tables[name] not in present]:
            sys.stderr.write(f"{name}: the table {tables[name]} is gone, it is read from the beginning\n")
            del entries[name]
            # before there is another table of this name: a job that fails must not leave the state with that one
            with engine.begin() as connection:
                ledger.forget(connection, name, tables[name])
        return entries

    def _tables(self, cache: Any) -> dict[str, str]:
        """Stream → the table that it has in this connection."""
        return {
            stream["name"]: cache.processor.get_sql_table_name(stream["name"]) for stream in self._streams
        }

    def _way(self, stream: str) -> Way:
        """How the stream is written. Whole copies of the source end with one: appended to the last of them, the first
        incremental sync, which brings everything, would double each row.
        """
        mode, last = self._context.modes[stream], self._context.earlier.get(stream)
        way = WAYS[mode]
        if mode == "incremental_append" and last and last.mode in COPIES:
            return replace(way, strategy=WriteStrategy.REPLACE)
        return way

    def _read(self, source: ConnectionSource, cache: Any, way: Way, names: list[str]) -> None:
        self._context.incremental = way.incremental
        source.read(
            cache,
            streams=names,
            write_strategy=way.strategy,
            force_full_refresh=not way.incremental,
            skip_validation=True,  # it was judged when it was stored
        )
        for name in names:
            if name not in self._context.committed:
                cache.unit.write_empty(name, replace=way.strategy is WriteStrategy.REPLACE)

    def _source(self) -> ConnectionSource:
        order = self._order
        self._context.deduplicated |= {
            stream["name"]
            for stream in self._streams
            if stream["syncMode"] == "full_refresh_overwrite_deduped"
        }
        return ConnectionSource(
            order["source"]["name"],
            order["source"]["command"],
            order["source"]["config"],
            self._streams,
            order["body"],
            order["known_columns"],
        )

    def _clear(self, cache: Any) -> None:
        """The connection's tables are empty and its next sync begins anew; the tables stay, views hang on them."""
        engine = cache.get_sql_engine()
        present = set(inspect(engine).get_table_names(schema=self._schema))
        with engine.begin() as connection:
            for stream, table in self._tables(cache).items():
                if table in present:
                    connection.execute(text(f'DELETE FROM {self._schema}."{table}"'))
                self._context.ledger.forget(connection, stream, table)
