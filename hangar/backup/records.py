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
ID = re.compile(r"\d{8}T\d{6}Z")
OBJECT = re.compile(r"[a-z]+-\d{8}T\d{6}Z\.age")
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
    parts that no earlier backup has.
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
    return bool(OBJECT.fullmatch(name) or (name.endswith(".json") and ID.fullmatch(name[:-5])))


def parse(found: Any) -> Backup | None:
    """The index in a decoded JSON; None where it is torn, of another format, or names what no machine of ours would."""
    try:
        parts = tuple(Sealed(**part) for part in found["parts"])
        lists = {"parts": parts, "roles": tuple(found["roles"]), "new": tuple(found["new"])}
        backup = Backup(**{**found, **lists})
        names_fit = all(OBJECT.fullmatch(part.object) and part.part.isalpha() for part in parts)
        fits = backup.format == FORMAT and ID.fullmatch(backup.id) and parts and names_fit
    except (KeyError, TypeError, AttributeError):
        return None
    return backup if fits else None


def read(path: Path) -> Backup | None:
    """The index in a file, or None as for `parse`."""
    try:
        return parse(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return None


def fetched(names: Iterable[str], get: Callable[[Sequence[str], Path], None]) -> list[Backup]:
    """The indexes of these names, which `get` brings into a folder; a torn one is none."""
    names = list(names)
    with tempfile.TemporaryDirectory() as folder:
        get(names, Path(folder))
        found = [read(Path(folder) / name) for name in names]
    return [one for one in found if one]


def text(backup: Backup) -> str:
    """The index as it stands in its file."""
    return json.dumps(asdict(backup), indent=1) + "\n"
