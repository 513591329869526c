"""Syncs and clears, through PyAirbyte."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("AIRBYTE_LOGGING_ROOT", os.environ["TMPDIR"])  # read when airbyte is imported

from airbyte.strategies import WriteStrategy
from sqlalchemy import inspect, text

from airbyte_embedded.worker import caches, parquet
from airbyte_embedded.worker.events import Events
from airbyte_embedded.worker.ledger import Job, Ledger
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


class Sync:
    """One job of one connection."""

    def __init__(self, order: Json, events: Events) -> None:
        self._order, self._events = order, events
        self._streams: list[Json] = order["body"]["streams"]
        body, config = order["body"], order["destination"]["config"]
        custom = body["namespaceDefinition"] == "custom_format"
        self._schema: str = body["namespaceFormat"] if custom else config["schema"]
        self._job = Job(order["job"], order["created_at"])
        self._context = Context(Ledger(self._schema, order["connection"]), self._job)

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
        tables = {
            cache.processor.get_sql_table_name(stream["name"]): stream["name"] for stream in self._streams
        }
        folder = Path(self._order["destination"]["config"]["destination_path"])
        parquet.publish(cache.get_sql_engine(), folder, self._schema, tables, self._context.ledger)

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
        entries = self._context.ledger.entries(cache.get_sql_engine())
        done = {name: entry for name, entry in entries.items() if entry.is_of(self._job)}
        self._context.earlier = {name: entry.state for name, entry in entries.items()}
        self._context.rows |= {name: entry.rows for name, entry in done.items()}
        self._context.bytes |= {name: entry.bytes for name, entry in done.items()}
        source = self._source()
        for way in dict.fromkeys(WAYS.values()):
            names = [
                stream["name"]
                for stream in self._streams
                if WAYS[stream["syncMode"]] == way and stream["name"] not in done
            ]
            if names:
                self._read(source, cache, way, names)

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
        processor, engine = cache.processor, cache.get_sql_engine()
        present = set(inspect(engine).get_table_names(schema=self._schema))
        with engine.begin() as connection:
            for stream in self._streams:
                table = processor.get_sql_table_name(stream["name"])
                if table in present:
                    connection.execute(text(f'DELETE FROM {self._schema}."{table}"'))
            self._context.ledger.clear(connection)
