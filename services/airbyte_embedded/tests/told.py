"""A source whose streams and rows a test writes down, and what a test needs beside it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.server import Server
from tests.toy import keyless, stream

OWN = {"primaryKey": [["id"]], "cursorField": ["updated_at"]}
"""What tells rows apart and what is new, where the source says neither."""


class Told:
    """A source that has what the test says."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._file = folder / "source.json"
        self.has()
        self.id = server.source("told", marker=str(self._file))

    def has(self, *ids: int) -> None:
        rows = [
            {"id": number, "code": f"{number:05d}", "updated_at": "2026-01-01T00:00:00Z"} for number in ids
        ]
        self.offers([keyless(stream("items"))], items=rows)

    def offers(self, streams: list[dict[str, Any]], **rows: list[Any]) -> None:
        self._file.write_text(json.dumps({"streams": streams, "rows": rows}))
