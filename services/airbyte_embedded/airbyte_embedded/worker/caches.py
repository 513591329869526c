"""The destinations: PyAirbyte's caches for Postgres and DuckDB, with one transaction a stream.

Parquet files are written from a DuckDB file beside them (`parquet`), which holds rows and states.
"""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import IO, Any, ClassVar

from airbyte._processors.sql.duckdb import DuckDBSqlProcessor
from airbyte._processors.sql.postgres import PostgresSqlProcessor
from airbyte._util.name_normalizers import LowerCaseNormalizer
from airbyte._writers.jsonl import JsonlWriter
from airbyte.caches.base import CacheBase
from airbyte.caches.duckdb import DuckDBCache
from airbyte.caches.postgres import PostgresCache
from airbyte.secrets.base import SecretString
from airbyte.shared.catalog_providers import CatalogProvider
from airbyte.shared.state_providers import StateProviderBase, StaticInputState
from airbyte.shared.state_writers import StateWriterBase
from airbyte_protocol.models import AirbyteMessage, AirbyteStateMessage, AirbyteStateType, Type
from pydantic import PrivateAttr
from sqlalchemy.engine import URL

from airbyte_embedded.worker import moments, parquet
from airbyte_embedded.worker.check import CONNECT_SECONDS, ssl_mode
from airbyte_embedded.worker.copying import CHUNK, Stream, lines
from airbyte_embedded.worker.events import PERIOD, Events
from airbyte_embedded.worker.unit import Context, UnitOfWork, Unsupported


class Staging(JsonlWriter):
    """PyAirbyte's staging files, packed lightly: its usual level 9 takes longer than reading many a source."""

    def _open_new_file(self, file_path: Path) -> IO[str]:
        return gzip.open(file_path, "wt", compresslevel=1, encoding="utf-8")


class PostgresUnit(UnitOfWork, PostgresSqlProcessor):
    file_writer_class = Staging

    def _keep_others_out(self, table: str) -> None:
        """Readers may go on. What another connection commits while a DELETE waits for it, that DELETE does not see: its
        rows and ours would stand there together.
        """
        self._execute_sql(f"LOCK TABLE {self._fully_qualified(table)} IN SHARE ROW EXCLUSIVE MODE")


class PostgresCopy(PostgresUnit):
    """Loads by COPY, inside the stream's transaction."""

    def _write_files_to_new_table(self, files: list[Path], stream_name: str, batch_id: str) -> str:
        # no files: PyAirbyte's own loader then only makes the table
        table = super()._write_files_to_new_table([], stream_name, batch_id)
        columns = self._get_sql_column_definitions(stream_name)
        names = ", ".join(self._quote_identifier(name) for name in columns)
        # the files have the names at their full length, Postgres's columns at most 63 letters of them
        offered = self.catalog_provider.get_stream_properties(stream_name)
        keys = {self.normalizer.normalize(name): LowerCaseNormalizer.normalize(name) for name in offered}
        with self.get_sql_connection() as connection, closing(connection.connection.cursor()) as cursor:
            cursor.copy_expert(
                f"COPY {self._fully_qualified(table)} ({names}) FROM STDIN",
                Stream(lines(files, columns, keys)),
                CHUNK,
            )
        return table


class DuckDBUnit(UnitOfWork, DuckDBSqlProcessor):
    file_writer_class = Staging


class _Kept(CacheBase):
    """What both caches add to PyAirbyte's: the ledger as state, and an eye on the messages."""

    _context: Context = PrivateAttr()
    _events: Events = PrivateAttr()
    _processor: UnitOfWork = PrivateAttr()

    def attach(self, context: Context, events: Events) -> None:
        self._context, self._events = context, events

    @property
    def unit(self) -> UnitOfWork:
        """The processor of the latest read."""
        return self._processor

    def get_record_processor(
        self, source_name: str, catalog_provider: CatalogProvider, state_writer: StateWriterBase | None = None
    ) -> UnitOfWork:
        processor = super().get_record_processor(source_name, catalog_provider, state_writer)
        assert isinstance(processor, UnitOfWork)
        processor.context = self._context
        self._processor = processor
        return processor

    def get_state_provider(
        self, source_name: str, *, refresh: bool = True, destination_name: str | None = None
    ) -> StateProviderBase:
        """The states of this connection's streams, from the ledger."""
        entries = self._context.earlier.values()
        return StaticInputState(
            [AirbyteStateMessage.model_validate_json(entry.state) for entry in entries if entry.state]
        )

    def _write_airbyte_message_stream(self, stdin: Any, **more: Any) -> None:
        watched: Any = self._watched(stdin, more["progress_tracker"])
        super()._write_airbyte_message_stream(watched, **more)

    def _watched(self, messages: Any, progress: Any) -> Iterator[AirbyteMessage]:
        """The messages as they come; counted, and reported once in a while. Called for every row: it is plain."""
        context, rows = self._context, self._context.rows
        instants = self._instants()
        due = 0.0
        for message in messages:
            if message.type is Type.RECORD:
                stream = message.record.stream
                rows[stream] = rows.get(stream, 0) + 1
                moments.to_utc(message.record.data, instants.get(stream, ()))
                if (now := time.monotonic()) >= due:
                    due = now + PERIOD
                    context.bytes |= progress.stream_bytes_read
                    self._events.progress(sum(rows.values()), sum(context.bytes.values()))
            elif message.type is Type.STATE and message.state.type is not AirbyteStateType.STREAM:
                self._judge_state()
            yield message
        context.bytes |= progress.stream_bytes_read

    def _instants(self) -> dict[str, tuple[str, ...]]:
        """Stream → its columns that hold a moment."""
        provider, types = self._processor.catalog_provider, self._processor.type_converter
        return {
            name: moments.columns(provider.get_stream_properties(name), types)
            for name in provider.stream_names
        }

    def _judge_state(self) -> None:
        if self._context.incremental:
            raise Unsupported(
                "The source keeps one state for all its streams; this engine keeps one for each."
                " Sync its streams in a full_refresh mode."
            )


class Postgres(_Kept, PostgresCache):
    _sql_processor_class: ClassVar[Any] = PostgresCopy

    sslmode: str = "prefer"

    def get_sql_alchemy_url(self) -> SecretString:
        """With every part quoted: PyAirbyte's own breaks at a password that holds a slash or an at sign."""
        url = URL.create(
            "postgresql+psycopg2", self.username, str(self.password), self.host, self.port, self.database
        )
        return SecretString(url.render_as_string(hide_password=False))

    def get_sql_alchemy_connect_args(self) -> dict[str, Any]:
        return {
            "sslmode": self.sslmode,
            "connect_timeout": CONNECT_SECONDS,
            "application_name": "airbyte-embedded",
            # a server that vanished is noticed in about a minute, not after the time limit of the job
            "keepalives_idle": 30,
            "keepalives_interval": 10,
            "keepalives_count": 3,
        }


class DuckDB(_Kept, DuckDBCache):
    _sql_processor_class: ClassVar[Any] = DuckDBUnit


def make(kind: str, config: dict[str, Any], *, schema: str, prefix: str, scratch: Path) -> _Kept:
    """The cache for a destination. Connects, and makes the schema if it is missing."""
    common = {"schema_name": schema, "table_prefix": prefix, "cache_dir": scratch / "cache"}
    if kind == "duckdb":
        return DuckDB(db_path=config["destination_path"], **common)
    if kind == "parquet":
        return DuckDB(db_path=str(parquet.store(Path(config["destination_path"]))), **common)
    return Postgres(
        host=config["host"],
        port=config["port"],
        database=config["database"],
        username=config["username"],
        password=config.get("password", ""),
        sslmode=ssl_mode(config),
        **common,
    )
