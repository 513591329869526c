"""A backup's index, as the machine writes it (roles/backup): which encrypted objects it is made of."""

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = 1
LARGEST_INDEX, MOST_INDEXES = 64 << 10, 10_000
"""Bytes of an index that is read, and how many of a place: an hour's each would be there for more than a year."""

ID = re.compile(r"\d{8}T\d{6}Z")
OBJECT = re.compile(r"[a-z]+-\d{8}T\d{6}Z\.age")
MACHINE = re.compile(r"[a-z0-9-]{1,80}")
SHA256 = re.compile(r"[0-9a-f]{64}")
"""Names that are looked for and asked for. An index that names anything else is none."""


@dataclass(frozen=True)
class Sealed:
    """One encrypted part. `bytes` and `sha256` are the object's; `made` is the backup that it was made for;
    `tables` is what a scratch database held when the dump was tried.
    """

    part: str
    object: str
    bytes: int
    sha256: str
    made: str
    tables: int = 0


@dataclass(frozen=True)
class Backup:
    """`seconds` is what it took; `numbers` are the uids that own its files, `roles` those of the warehouse; `new` the
    parts that no earlier backup has; `signature` is the machine's, of all the rest.
    """

    id: str
    machine: str
    made: str
    seconds: float
    parts: tuple[Sealed, ...]
    numbers: Mapping[str, int]
    roles: tuple[str, ...]
    new: tuple[str, ...]
    format: int = FORMAT
    signature: str = ""

    @property
    def bytes(self) -> int:
        return sum(part.bytes for part in self.parts)

    @property
    def when(self) -> datetime:
        return moment(self.id)


def moment(identifier: str) -> datetime:
    """When a backup began: its name says it."""
    return datetime.strptime(identifier, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def is_ours(name: str) -> bool:
    """Whether it is named as the machine names an index or an object."""
    is_named = OBJECT.fullmatch(name) or (name.endswith(".json") and ID.fullmatch(name[:-5]))
    return bool(is_named) and _is_moment(name.rpartition(".")[0].rpartition("-")[2])


def _is_moment(identifier: str) -> bool:
    """Not each number is a day."""
    try:
        moment(identifier)
    except ValueError:
        return False
    return True


def indexes_of(sizes: Mapping[str, int]) -> list[str]:
    """The names of the indexes among a place's files, the newest first; no more, and none larger, than is read."""
    found = (name for name, size in sizes.items() if name.endswith(".json") and size <= LARGEST_INDEX)
    return sorted(found, reverse=True)[:MOST_INDEXES]


def parse(found: Any) -> Backup | None:
    """The index in a decoded JSON; None where it is torn, of another format, or names what no machine of ours would."""
    try:
        parts = tuple(Sealed(**part) for part in found["parts"])
        lists = {"parts": parts, "roles": tuple(found["roles"]), "new": tuple(found["new"])}
        backup = Backup(**{**found, **lists})
        return backup if _fits(backup) and all(map(_is_part, parts)) else None
    except (KeyError, TypeError, AttributeError, ValueError):
        return None


def _fits(backup: Backup) -> bool:
    """Whether each value is of its kind: whoever writes where backups lie chooses them, and some go to a terminal."""
    moment(backup.id)
    return (
        backup.format == FORMAT
        and bool(ID.fullmatch(backup.id) and MACHINE.fullmatch(backup.machine))
        and len(backup.made) < 40 and backup.made.isprintable()
        and 0 <= backup.seconds < 10**7
        and bool(backup.parts)
        and backup.signature.isascii()
        and all(isinstance(name, str) and 0 <= number < 2**32 for name, number in backup.numbers.items())
        and all(isinstance(one, str) and one.isprintable() for one in (*backup.roles, *backup.new))
    )  # fmt: skip


def _is_part(part: Sealed) -> bool:
    return (
        bool(OBJECT.fullmatch(part.object) and SHA256.fullmatch(part.sha256) and ID.fullmatch(part.made))
        and part.part.isalpha() and part.part.isascii()
        and isinstance(part.bytes, int) and 0 < part.bytes < 2**60
        and isinstance(part.tables, int)
    )  # fmt: skip


def read(path: Path) -> Backup | None:
    """The index in a file, or None as for `parse`."""
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST_INDEX + 1)
        return parse(json.loads(content)) if len(content) <= LARGEST_INDEX else None
    except (OSError, ValueError, RecursionError):
        return None


def fetched(names: Iterable[str], get: Callable[[Sequence[str], Path], None]) -> list[Backup]:
    """The indexes of these names, which `get` brings into a folder; a torn one is none."""
    names = list(names)
    with tempfile.TemporaryDirectory() as folder:
        get(names, Path(folder))
        found = [read(Path(folder) / name) for name in names]
    return [one for one in found if one]


def plain(backup: Backup) -> str:
    """What of an index is signed: all of it, in one form."""
    return json.dumps({**asdict(backup), "signature": ""}, sort_keys=True)


def text(backup: Backup) -> str:
    """The index as it stands in its file."""
    return json.dumps(asdict(backup), indent=1) + "\n"
