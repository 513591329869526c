"""Jobs' logs on disk: secrets masked, bounded in size, removed when they are old."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Sequence
from pathlib import Path

from airbyte_embedded.vault import MASK

LONGEST = 64 * 1024  # bytes of a line; more is written as several
log = logging.getLogger(__name__)


class JobLog:
    """One attempt's log. A full disk costs log lines, never the job."""

    def __init__(self, path: Path, secrets: Sequence[str], most: int) -> None:
        self._path = path
        self._secrets = [secret.encode() for secret in secrets]
        self._most = most
        self._rest = b""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, chunk: bytes) -> None:
        """Output as it comes; whole lines are written, so that a secret is never met in halves."""
        self._rest += chunk
        while b"\n" in self._rest[:LONGEST]:
            line, self._rest = self._rest.split(b"\n", 1)
            self._line(line)
        if len(self._rest) > LONGEST:
            # keep enough for a secret that the cut would have divided
            keep = max((len(secret) for secret in self._secrets), default=0)
            cut = len(self._rest) - keep
            self._line(self._rest[:cut])
            self._rest = self._rest[cut:]

    def say(self, sentence: str) -> None:
        """A line of the service's own."""
        self.write(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {sentence}\n".encode())

    def masked(self, line: bytes) -> bytes:
        """The line without the words that must not be shown."""
        for secret in self._secrets:
            line = line.replace(secret, MASK.encode())
        return line

    def _line(self, line: bytes) -> None:
        line = self.masked(line)
        with contextlib.suppress(OSError):
            self._size += os.write(self._file, line + b"\n")
            if self._size > self._most:
                self._turn()

    def _turn(self) -> None:
        with contextlib.suppress(FileNotFoundError):  # the last turn found no room for a new file
            self._path.replace(self._path.with_suffix(".1.log"))
        fresh = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o600)
        # only now: the number of a closed file is soon another's, and lines would go there
        os.close(self._file)
        self._file, self._size = fresh, 0

    def close(self) -> None:
        if self._rest:
            self._line(self._rest)
            self._rest = b""
        os.close(self._file)


def _order(path: Path) -> tuple[int, bool]:
    """Where a part belongs among its job's. By name: two parts written within one tick of the clock share a time."""
    attempt, _, part = path.name.removeprefix("attempt-").removesuffix(".log").partition(".")
    return int(attempt), not part


class Logs:
    """The folder of all jobs' logs: jobs/<id>/attempt-<n>.log, the older part beside it as attempt-<n>.1.log."""

    def __init__(self, folder: Path, megabytes: int, days: int) -> None:
        self._folder = folder / "jobs"
        self._most = megabytes * 1_000_000
        self._days = days

    def open(self, job: int, attempt: int, secrets: Sequence[str]) -> JobLog:
        return JobLog(self._folder / str(job) / f"attempt-{attempt}.log", secrets, self._most)

    def tail(self, job: int, most: int) -> str:
        """The last `most` bytes of the job's log, over all its attempts."""
        parts = sorted((self._folder / str(job)).glob("attempt-*.log"), key=_order)
        text = b"".join(path.read_bytes()[-most:] for path in parts[-4:])
        return text[-most:].decode(errors="replace")

    def prune(self) -> None:
        """Remove what is older than the days that were set."""
        oldest = time.time() - self._days * 86400
        for path in self._folder.glob("*/attempt-*.log"):
            if path.stat().st_mtime < oldest:
                path.unlink(missing_ok=True)
        for folder in self._folder.glob("*"):
            with contextlib.suppress(OSError):  # not empty: something in it is still young
                folder.rmdir()
