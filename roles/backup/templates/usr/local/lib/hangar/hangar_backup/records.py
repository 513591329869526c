# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A backup's index: which encrypted objects it is made of. It is written last, so what is listed is whole."""

import json
import os
import re
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

FORMAT = 1
ID = re.compile(r"\d{8}T\d{6}Z")
OBJECT = re.compile(r"[a-z]+-\d{8}T\d{6}Z\.age")


@dataclass(frozen=True)
class Sealed:
    """One part, encrypted. `bytes` and `sha256` are the object's; `tables` counts what a scratch database held."""

    part: str
    object: str
    bytes: int
    sha256: str
    made: str
    tables: int = 0


@dataclass(frozen=True)
class Backup:
    """`numbers` are the uids that own what was copied, `roles` those that the warehouse's objects belong to.
    `new` names the parts that are not shared with an earlier backup.
    """

    id: str
    machine: str
    made: str
    seconds: float
    parts: tuple[Sealed, ...]
    numbers: dict[str, int] = field(default_factory=dict)
    roles: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    format: int = FORMAT
    signature: str = ""


def plain(backup: Backup) -> str:
    """What of an index is signed: all of it, in one form."""
    return json.dumps({**asdict(backup), "signature": ""}, sort_keys=True)


def moment(now: datetime | None = None) -> str:
    """A backup's name: when it began, in UTC."""
    return f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"


def when(identifier: str) -> datetime:
    """The moment that a name tells."""
    return datetime.strptime(identifier, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def read(path: Path) -> Backup | None:
    """An index; None where it is torn, or of another format."""
    try:
        found = json.loads(path.read_text())
        found["parts"] = tuple(Sealed(**part) for part in found["parts"])
        found["roles"], found["new"] = tuple(found["roles"]), tuple(found["new"])
        backup = Backup(**found)
    except (ValueError, KeyError, TypeError, OSError):
        return None
    return backup if backup.format == FORMAT else None


def write(backup: Backup, folder: Path) -> Path:
    """Write the index, whole or not at all."""
    path = folder / f"{backup.id}.json"
    write_whole(path, json.dumps(asdict(backup), indent=1) + "\n")
    return path


def write_whole(path: Path, text: str, mode: int = 0o600) -> None:
    """Whoever reads meanwhile gets the old text or the new one."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
        os.fchmod(descriptor, mode)
        stream.flush()
        os.fsync(descriptor)
    fresh.rename(path)
