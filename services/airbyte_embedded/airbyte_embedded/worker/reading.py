"""The source of a connection: a connector's program, and the catalog that the connection asks of it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any, Literal, NoReturn

from airbyte._executors.base import Executor
from airbyte.sources.base import Source
from airbyte_protocol.models import (
    AirbyteCatalog,
    AirbyteStream,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteStream,
    DestinationSyncMode,
    SyncMode,
)

Json = dict[str, Any]
HALF = re.compile("[\ud800-\udfff]")
"""Half a letter: JSON can escape it, and no text can hold it."""
DIGITS = bytes.maketrans(b"0123456789.E", b"00000000000e")
LONG = (b"0" * 16, b"e000", b"e+000", b"e-000")
"""With every digit and point as 0: where a number may be of which Python's own kind (a double) does not hold every
digit. Tenths of what an expression costs, and every record is looked at.
"""
GRACE = 5.0  # seconds for a connector to end by itself once nobody reads it


class ConnectorFailed(Exception):
    """The connector's own words, or its exit code where it said nothing."""


class ConnectorExecutor(Executor):
    """Runs a connector that stands on this machine; its logs become the job's log."""

    def __init__(self, name: str, command: Sequence[str]) -> None:
        super().__init__(name=name)
        # killed by the kernel when the job's process is
        self._command = [*(["setpriv", "--pdeathsig", "KILL"] if shutil.which("setpriv") else []), *command]

    @property
    def _cli(self) -> list[str]:
        return self._command

    def execute(self, args: list[str], *, stdin: Any = None, suppress_stderr: bool = False) -> Iterator[str]:
        """The connector's output, line by line. Raises ConnectorFailed when it complains or ends badly.

        A complaint counts even where the connector ends with 0: PyAirbyte would take what it read for everything.
        """
        child = subprocess.Popen(
            [*self._command, *args], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        )
        said = ""
        finished = False
        try:
            for line in child.stdout or ():
                # records are the many; they are not parsed twice
                if '"RECORD"' not in line:
                    said = _note(line) or said
                elif _may_be_long(line):
                    line = _every_digit(line)
                yield _whole_letters(line) if "\\ud" in line or "\\uD" in line else line
            finished = True
        finally:
            code = _end(child)
        if finished and (said or code != 0):
            raise ConnectorFailed(f"{self.name}: {said or f'it ended with exit code {code}'}")

    def ensure_installation(self, *, auto_fix: bool = True) -> None:
        """The service installed it before the job began."""

    def install(self) -> NoReturn:
        raise NotImplementedError

    def uninstall(self) -> NoReturn:
        raise NotImplementedError

    def get_installed_version(self, *, raise_on_error: bool = False, recheck: bool = False) -> None:
        return None


def _note(line: str) -> str:
    """Write a log message to the log; give back a complaint."""
    try:
        message = json.loads(line)
        if message["type"] == "LOG":
            sys.stderr.write(f"{message['log'].get('level', 'INFO')} {message['log']['message']}\n")
        elif message["type"] == "TRACE" and message["trace"]["type"] == "ERROR":
            return str(message["trace"]["error"]["message"])
    except (ValueError, KeyError, TypeError):
        sys.stderr.write(line)
    return ""


def _whole_letters(line: str) -> str:
    """The message with a mark (U+FFFD) in place of each half of a letter: PyAirbyte would drop the record."""
    try:
        text = json.dumps(json.loads(line), ensure_ascii=False)
    except (ValueError, RecursionError):
        return line
    return HALF.sub("\ufffd", text) if HALF.search(text) else line


class _Digits(str):
    """A number with a fraction or an exponent, as it was written, that a double would change."""


def _number(text: str) -> float | _Digits:
    value = float(text)
    return value if Decimal(repr(value)) == Decimal(text) else _Digits(text)


def _doubles(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _doubles(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_doubles(part) for part in value]
    return float(value) if isinstance(value, _Digits) else value


def _may_be_long(line: str) -> bool:
    plain = line.encode("utf-8", "replace").translate(DIGITS)
    return any(part in plain for part in LONG)


def _every_digit(line: str) -> str:
    """The record with those of its columns that are such numbers as texts, which a database reads to the last digit:
    PyAirbyte would read doubles. Inside an object or a list a number stays one.
    """
    try:
        message = json.loads(line, parse_float=_number)
        data = message["record"]["data"]
        long = {name: str(value) for name, value in data.items() if isinstance(value, _Digits)}
        message["record"]["data"] = _doubles(data) | long
        return json.dumps(message) if long else line
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidOperation):
        return line


def _unread(line: str) -> str:
    """What a line was to be that PyAirbyte could not read, where that counts; empty for any other line."""
    try:
        message = json.loads(line)
        kind = message["type"]
    except RecursionError:
        return "message of too many levels"
    except (ValueError, KeyError, TypeError):
        return ""
    if kind == "RECORD":
        # not what is in it: people read this, and it may be a secret of the source's
        return f"record of the stream {(message.get('record') or {}).get('stream')}"
    return "state" if kind == "STATE" else ""


def _end(child: subprocess.Popen[str]) -> int:
    if child.stdout:
        child.stdout.close()
    try:
        return child.wait(GRACE)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()


class ConnectionSource(Source):
    """A source that reads what a connection's streams say, column by column."""

    def __init__(
        self, name: str, command: Sequence[str], config: Json, streams: list[Json], body: Json, known: Json
    ):
        self._wanted = {stream["name"]: stream for stream in streams}
        self._all_columns = body["nonBreakingSchemaUpdatesBehavior"] == "propagate_columns"
        self._known = known
        super().__init__(executor=ConnectorExecutor(name, command), name=name, config=config)

    def _print_info_message(self, message: str) -> None:
        """PyAirbyte takes each line that it cannot read for a log's, and goes on without it. Raises ConnectorFailed
        where that would lose a row or a state.
        """
        if what := _unread(message):
            raise ConnectorFailed(f"{self.name} wrote a {what} that cannot be read")
        super()._print_info_message(message)

    def _discover(self) -> AirbyteCatalog:
        """The catalog as the source has it now, with the streams and columns that the connection wants.

        Raises ConnectorFailed where a stream is gone: nothing that was moved from it is touched.
        """
        catalog = super()._discover()
        found = [stream for stream in catalog.streams if stream.name in self._wanted]
        names = [stream.name for stream in found]
        catalog.streams = [
            stream
            for stream in found
            if names.count(stream.name) == 1
            or (stream.namespace or None) == self._wanted[stream.name].get("namespace")
        ]
        if gone := sorted({*self._wanted} - {stream.name for stream in catalog.streams}):
            raise ConnectorFailed(
                f"{self.name} has no stream {', '.join(gone)} any more: take it out of the connection, or see to it at"
                " the source. The tables stay as they were."
            )
        for stream in catalog.streams:
            properties = stream.json_schema.get("properties", {})
            stream.json_schema["properties"] = {
                name: part for name, part in properties.items() if self._wants(stream.name, name)
            }
        return catalog

    def _wants(self, stream: str, column: str) -> bool:
        selected = self._wanted.get(stream, {}).get("selectedFields")
        if selected is not None:
            return [column] in [part["fieldPath"] for part in selected]
        return self._all_columns or column in self._known.get(stream, [column])

    def get_configured_catalog(
        self, streams: Literal["*"] | list[str] | None = None, *, force_full_refresh: bool = False
    ) -> ConfiguredAirbyteCatalog:
        names = streams if isinstance(streams, list) else self.get_selected_streams() or list(self._wanted)
        return ConfiguredAirbyteCatalog(
            streams=[
                self._configured(stream) for stream in self.discovered_catalog.streams if stream.name in names
            ]
        )

    def _configured(self, stream: AirbyteStream) -> ConfiguredAirbyteStream:
        wanted = self._wanted[stream.name]
        mode = wanted["syncMode"]
        writes = {
            "incremental_append": DestinationSyncMode.append,
            "full_refresh_append": DestinationSyncMode.append,
            "incremental_deduped_history": DestinationSyncMode.append_dedup,
        }
        return ConfiguredAirbyteStream(
            stream=stream,
            sync_mode=SyncMode.incremental if mode.startswith("incremental") else SyncMode.full_refresh,
            destination_sync_mode=writes.get(mode, DestinationSyncMode.overwrite),
            primary_key=wanted.get("primaryKey"),
            cursor_field=wanted.get("cursorField"),
        )
