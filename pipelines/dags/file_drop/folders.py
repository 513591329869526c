"""The folders of a drop: in → work → archive, or quarantine with the reason beside it.

People write `in`; the others belong to Airflow. A name in `work` is a private copy that nobody can change any more.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from file_drop.feeds import Broken

SETTLED = 5.0
"""Seconds without a change after which a file counts as complete. A name with a dot first is left alone."""


@dataclass(frozen=True)
class Claimed:
    """A file in `work`, and the name that it was dropped under."""

    path: Path
    name: str


@dataclass(frozen=True)
class Folders:
    arrivals: Path
    work: Path
    archive: Path
    quarantine: Path

    @classmethod
    def under(cls, root: Path) -> Folders:
        """The four folders of one drop, made where they are missing."""
        found = [root / name for name in ("in", "work", "archive", "quarantine")]
        for folder in found:
            folder.mkdir(parents=True, exist_ok=True)
        return cls(*found)

    def waiting(self) -> list[Path]:
        """What lies in `in`, the oldest first."""
        return [entry for _, entry in self._changed()]

    def settled(self, now: float | None = None) -> list[Path]:
        """Those of which the last change is a while ago. (ctime: mtime can be set, and `scp -p` does.)"""
        before = (now or time.time()) - SETTLED
        return [entry for changed, entry in self._changed() if changed <= before]

    def _changed(self) -> list[tuple[float, Path]]:
        """With the moment of the last change, looked at once: a file that goes meanwhile is gone."""
        found = []
        for entry in self.arrivals.iterdir():
            if not entry.name.startswith("."):
                try:
                    found.append((entry.lstat().st_ctime, entry))
                except FileNotFoundError:
                    continue
        return sorted(found)

    def forget_halves(self) -> None:
        """Copies that a killed run did not come to the end of; for whoever claims, and nobody else does meanwhile."""
        for path in self.work.glob(".*"):
            path.unlink()

    def left_over(self) -> Iterator[Claimed]:
        """What a killed run had claimed."""
        for path in sorted(self.work.iterdir()):
            if not path.name.startswith("."):
                yield Claimed(path, path.name.split("-", 1)[1])

    def claim(self, entry: Path, most: int) -> Claimed:
        """Take a file out of `in` as a copy of our own: whoever dropped it may still hold it open.

        Raises:
            Broken: it is no plain file, or too large.
            FileNotFoundError: it is gone.
        """
        target = self.work / f"{uuid4().hex}-{safe(entry.name)}"
        half = self.work / f".{target.name}"
        try:
            source = os.open(entry, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Broken(f"it cannot be opened as a plain file ({error.strerror})") from error
        try:
            found = os.fstat(source)
            if not stat.S_ISREG(found.st_mode):
                raise Broken("it is no plain file")
            if found.st_size > most:
                raise Broken(f"it has {found.st_size} bytes; at most {most} are taken")
            with os.fdopen(os.dup(source), "rb") as stream, half.open("wb") as copy:
                shutil.copyfileobj(stream, copy)
                copy.flush()
                os.fsync(copy.fileno())
        except OSError:
            half.unlink(missing_ok=True)  # on a full disk it takes the room that the next try needs
            raise
        finally:
            os.close(source)
        half.replace(target)
        entry.unlink(missing_ok=True)
        return Claimed(target, entry.name)

    def put_away(self, claimed: Claimed, feed: str, digest: str) -> Path:
        """Into the archive, under a name that no other content has."""
        folder = self.archive / feed / datetime.now(UTC).strftime("%Y-%m")
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / f"{digest[:16]}-{safe(claimed.name)}"
        return claimed.path.replace(target)

    def set_aside(self, path: Path, name: str, reason: str) -> Path:
        """Into quarantine, the reason beside it. The reason is there first: a file without one would be a riddle."""
        target = self.quarantine / f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}-{safe(name)}"
        beside = target.with_name(f"{target.name}.reason.txt")
        try:
            beside.write_text(f"{name!r} was not loaded: {reason}.\n", "utf-8")
        except OSError:
            beside.unlink(missing_ok=True)
            raise
        if path.is_symlink():
            path.unlink()  # where it leads to is none of ours
        else:
            path.replace(target)
        return target


def safe(name: str) -> str:
    """The name with nothing in it that a shell or a listing could take for something else."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:100]
