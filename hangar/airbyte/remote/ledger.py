"""The record of what was made from the files, on the machine: two controllers see one truth."""

import fcntl
import json
import secrets
import time
from pathlib import Path
from typing import Any

from hangar.airbyte.remote.files import write
from hangar.serving import Refusal

PATIENCE = 20.0
"""Seconds that another apply gets to end (a killed one ends with its request)."""


class Ledger:
    """What was made from the files: `kind/name` → id, what was declared, and the secrets' fingerprints.

    An entry without an id was begun and not finished; its `before` are the ids of that name that were there already.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "ledger.json"
        self._lock: Any = None
        self.entries: dict[str, dict[str, Any]] = {}

    def open(self, who: str) -> None:
        """Reads the record; with a name, it is the caller's alone until the program ends."""
        if who:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._take(who)
        if self._path.exists():
            self.entries = json.loads(self._path.read_text())["entries"]

    def _take(self, who: str) -> None:
        self._lock = (self._folder / "lock").open("a+")
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    self._lock.seek(0)
                    raise Refusal("locked", self._lock.read().strip() or "another call") from None
                time.sleep(0.1)
        self._lock.truncate(0)
        self._lock.write(who)
        self._lock.flush()

    def key(self) -> bytes:
        """The key of the fingerprints, made at the first apply. A plan alone on a fresh machine needs none."""
        path = self._folder / "key"
        if not path.exists() and self._lock is not None:
            write(path, secrets.token_hex(32))
        return path.read_bytes() if path.exists() else secrets.token_bytes(32)

    def put(self, key: str, entry: dict[str, Any] | None) -> None:
        if self._lock is None:
            raise Refusal("defect", "the record is open for reading only")
        self.entries.pop(key, None)
        if entry is not None:
            self.entries[key] = entry
        write(self._path, json.dumps({"version": 1, "entries": self.entries}, indent=1, sort_keys=True))
