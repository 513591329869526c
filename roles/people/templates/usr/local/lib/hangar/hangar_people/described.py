# Written by Hangar (role people). Changes made here are lost at the next run.
"""Who works on the machine, as the role wrote it down."""

import fcntl
import json
import os
import tempfile
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

DESCRIPTION = Path("/etc/hangar/people.json")
LOCK = Path("/run/hangar-people-described.lock")
"""Held from reading to writing: removals do not wait for each other, and each takes its own person out."""

EPOCH = date(1970, 1, 1)

ADMINS, AUTHORS = "hangar-admins", "dags"
GROUPS = {
    "admin": (AUTHORS, ADMINS, "hangar-people"),
    "developer": (AUTHORS, "hangar-developers", "hangar-people"),
    "viewer": ("hangar-people", "hangar-viewers"),
}
"""A role is the groups that sshd, sudo and the shared folder look at."""

ALL_GROUPS = sorted({group for groups in GROUPS.values() for group in groups})


class Refused(Exception):
    """Something that a person has to decide; the message says what, and what to do about it."""


@dataclass(frozen=True)
class Person:
    """Who they are. `expires` is the first day (UTC) without access."""

    name: str
    role: str
    keys: tuple[str, ...]
    expires: date | None = None

    @property
    def groups(self) -> tuple[str, ...]:
        return GROUPS[self.role]

    def is_out(self, today: date) -> bool:
        """Tell whether their day has come."""
        return self.expires is not None and self.expires <= today

    def key_file(self) -> str:
        """What sshd reads. The day stands with each key too: sshd looks at it itself."""
        option = f'expiry-time="{self.expires:%Y%m%d}Z" ' if self.expires else ""
        lines = ["# Written by Hangar (role people). Changes made here are lost at the next run."]
        return "".join(f"{line}\n" for line in [*lines, *(option + key for key in self.keys)])


@dataclass(frozen=True)
class Described:
    """`others` names the accounts whose keys somebody else gives; None leaves strange key files alone."""

    people: dict[str, Person]
    others: tuple[str, ...] | None = ()


def today() -> date:
    """Return the day in UTC, by which accounts and keys expire."""
    return datetime.now(UTC).date()


def read(path: Path = DESCRIPTION) -> dict[str, Any]:
    """Read the description as it stands there; the role has checked it."""
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def load(path: Path = DESCRIPTION) -> Described:
    """Return what the machine is to have."""
    found = read(path)
    people = {
        one["name"]: Person(
            one["name"],
            one["role"],
            tuple(one["keys"]),
            date.fromisoformat(one["expires"]) if one["expires"] else None,
        )
        for one in found["people"]
    }
    others = found["others"]
    return Described(people, None if others is None else tuple(others))


def forget(name: str, path: Path = DESCRIPTION) -> None:
    """Take somebody out of the description, in the form in which the role writes it."""
    with LOCK.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = read(path)
        found["people"] = [one for one in found["people"] if one["name"] != name]
        write(path, json.dumps(found, indent=1, sort_keys=True) + "\n", path.stat().st_mode & 0o777)


def write(path: Path, text: str, mode: int) -> None:
    """Write a file whole or not at all; root's."""
    # A name of its own: two calls may write at once.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".new", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogateescape") as stream:
            stream.write(text)
            os.fchmod(descriptor, mode)
            stream.flush()
            os.fsync(descriptor)
        Path(name).rename(path)
    except BaseException:
        Path(name).unlink()
        raise
