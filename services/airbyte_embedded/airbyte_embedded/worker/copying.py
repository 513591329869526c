"""Rows into Postgres by COPY, straight from the files that PyAirbyte staged.

PyAirbyte reads a whole file into pandas and inserts row by row. That takes the memory of all rows, and pandas
turns strings that look like numbers into numbers (00123 becomes 123). Here rows stream through, as they are.
"""

from __future__ import annotations

import gzip
import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy.types import JSON, TypeEngine

NULL = "\\N"
JSON_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""A NUL in JSON's text; behind another backslash the same letters are just letters."""
ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": None}
)  # Postgres holds no NUL
DIGITS = bytes.maketrans(b"0123456789", b"0000000000")
LONG = b"0" * 19
"""With every digit as 0: where a whole number may be that orjson reads as a rounded one, and does not write."""
CHUNK = 1 << 16


def parsed(line: bytes) -> dict[str, Any]:
    """A row as it was staged, each whole number as long as it is."""
    row: dict[str, Any] = (json.loads if LONG in line.translate(DIGITS) else orjson.loads)(line)
    return row


def written(value: Any) -> str:
    """As JSON."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # a number of more than 64 bits
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def field(value: Any, kind: TypeEngine[Any]) -> str:
    """A value in COPY's text format. JSON columns get JSON, everything else its plain text."""
    if value is None:
        return NULL
    if isinstance(kind, JSON) or isinstance(value, dict | list):
        # \u0000 is valid JSON that Postgres refuses even in a JSON column's text
        return JSON_NUL.sub(r"\1", written(value)).translate(ESCAPES)
    if isinstance(value, str):
        return value.translate(ESCAPES)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def lines(
    files: Sequence[Path], columns: Mapping[str, TypeEngine[Any]], keys: Mapping[str, str]
) -> Iterator[bytes]:
    """The files' rows in COPY's text format, columns in the given order. `keys`: what a column is called in the files,
    where that is another name.
    """
    wanted = [(keys.get(name, name), kind) for name, kind in columns.items()]
    for path in files:
        with gzip.open(path, "rb") as file:
            for line in file:
                row = parsed(line)
                yield ("\t".join(field(row.get(key), kind) for key, kind in wanted) + "\n").encode()


class Stream(io.RawIOBase):
    """An iterator of bytes as the file that psycopg2 wants to read."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        gathered, length = [self._rest], len(self._rest)
        while size < 0 or length < size:
            part = next(self._parts, b"")
            if not part:
                break
            gathered.append(memoryview(part))
            length += len(part)
        if size >= 0 and length > size:
            # a view: a row of many megabytes is not copied anew for each piece of it
            cut = len(gathered[-1]) - (length - size)
            gathered[-1], self._rest = gathered[-1][:cut], gathered[-1][cut:]
        else:
            self._rest = memoryview(b"")
        return b"".join(gathered)
