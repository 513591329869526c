"""Rows into Postgres by COPY, straight from the files that PyAirbyte staged.

PyAirbyte reads a whole file into pandas and inserts row by row. That takes the memory of all rows, and pandas
turns strings that look like numbers into numbers (00123 becomes 123). Here rows stream through, as they are.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.types import JSON

NULL = "\\N"
ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": None}
)  # Postgres holds no NUL
CHUNK = 1 << 16


def field(value: Any, *, json: bool) -> str:
    """A value in COPY's text format. JSON columns get JSON, everything else its plain text."""
    if value is None:
        return NULL
    if json or isinstance(value, dict | list):
        # \u0000 is valid JSON that Postgres refuses even in a JSON column's text
        return orjson.dumps(value).decode().replace("\\u0000", "").translate(ESCAPES)
    if isinstance(value, str):
        return value.translate(ESCAPES)
    if isinstance(value, bool):
        return "t" if value else "f"
    return str(value)


def lines(files: Sequence[Path], columns: dict[str, Any]) -> Iterator[bytes]:
    """The files' rows in COPY's text format, columns in the given order."""
    wanted = [(name, isinstance(kind, JSON)) for name, kind in columns.items()]
    for path in files:
        with gzip.open(path, "rb") as file:
            for line in file:
                row = orjson.loads(line)
                yield ("\t".join(field(row.get(name), json=json) for name, json in wanted) + "\n").encode()


class Stream(io.RawIOBase):
    """An iterator of bytes as the file that psycopg2 wants to read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        gathered, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            part = next(self._parts, b"")
            if not part:
                break
            gathered.append(part)
            length += len(part)
        whole = b"".join(gathered)
        cut = len(whole) if size < 0 else size
        self._rest = whole[cut:]
        return whole[:cut]
