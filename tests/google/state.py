"""What exists: tables of JSON, kept in memory and, where a folder is given, on disk for the next process."""

import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

RESOURCES = "resources"
OPERATIONS = "operations"
REQUESTS = "requests"

FIRST_ID = 4_000_000_000_000_000_000
PACIFIC = timezone(timedelta(hours=-8))


class State:
    """Tables of records by name. Whoever changes a record has it kept with `save`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._file = folder / "state.json" if folder else None
        self.tables: dict[str, dict[str, Any]] = {}
        if self._file and self._file.exists():
            self.tables = json.loads(self._file.read_text(encoding="utf-8"))
        self._saved = ""

    def table(self, name: str) -> dict[str, Any]:
        return self.tables.setdefault(name, {})

    @property
    def resources(self) -> dict[str, Any]:
        """Compute's resources by path: projects/p/zones/z/instances/n."""
        return self.table(RESOURCES)

    @property
    def operations(self) -> dict[str, Any]:
        return self.table(OPERATIONS)

    @property
    def requests(self) -> dict[str, Any]:
        """The operation that each requestId began."""
        return self.table(REQUESTS)

    def number(self) -> str:
        """A new id, never used before."""
        counters = self.table("counters")
        counters["id"] = counters.get("id", FIRST_ID) + 7
        return str(counters["id"])

    def save(self) -> None:
        if self._file is None:
            return
        text = json.dumps(self.tables)
        if text == self._saved:
            return
        # Whole or not at all: the process may be killed here.
        draft = self._file.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self._file)
        self._saved = text


def shown(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what only the stand-in knows about it."""
    return {name: value for name, value in record.items() if not name.startswith("_")}


def fingerprint(value: Any) -> str:
    """Google's optimistic lock: other content, other fingerprint."""
    digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
    return base64.urlsafe_b64encode(digest[:8]).decode()


def compute_time() -> str:
    return datetime.now(PACIFIC).isoformat(timespec="milliseconds")


def utc_time() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
