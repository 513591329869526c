# Written by Hangar (role backup). Changes made here are lost at the next run.
"""The encrypted backups that stay here: for a quick way back, and for the controller, which fetches them."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .described import SPOOL
from .records import ID, OBJECT, Backup, Sealed, moment, read
from .sealing import digest


def backups(spool: Path = SPOOL) -> list[Backup]:
    """Every whole backup, the newest first. One whose objects are not all there is none."""
    indexes = [path for path in spool.glob("*.json") if ID.fullmatch(path.stem)]
    found = [backup for path in indexes if (backup := read(path))]
    whole = [backup for backup in found if is_whole(backup, spool)]
    return sorted(whole, key=lambda backup: backup.id, reverse=True)


def is_whole(backup: Backup, spool: Path) -> bool:
    """Whether all of its objects are there, in their size."""
    places = [(spool / part.object, part.bytes) for part in backup.parts]
    return all(place.is_file() and place.stat().st_size == size for place, size in places)


def is_sound(part: Sealed, spool: Path = SPOOL) -> bool:
    """Whether the object is as it was made, to its last byte."""
    try:
        return digest(spool / part.object) == part.sha256
    except OSError:
        return False


def prune(kept: int, spool: Path = SPOOL, now: datetime | None = None) -> None:
    """Remove all but the newest backups, and what a killed run has left. Those of days to come, made while the
    clock was wrong, count by themselves: else each new one would be older than they, and go at once.
    """
    found, latest = backups(spool), moment((now or datetime.now(UTC)) + timedelta(days=1))
    ahead = [backup for backup in found if backup.id > latest]
    newest = [backup for backup in found if backup.id <= latest][:kept] + ahead[:kept]
    stays = {f"{backup.id}.json" for backup in newest} | {
        part.object for backup in newest for part in backup.parts
    }
    for path in spool.iterdir():
        if path.name not in stays:
            path.unlink()


def place_of(name: str, spool: Path = SPOOL) -> Path | None:
    """An object or an index that is in the spool, by its name."""
    known = OBJECT.fullmatch(name) or (name.endswith(".json") and ID.fullmatch(name.removesuffix(".json")))
    place = spool / name
    return place if known and place.is_file() else None


def size(found: Sequence[Backup]) -> int:
    """Bytes of the newest backup; 0 where there is none."""
    return sum(part.bytes for part in found[0].parts) if found else 0
