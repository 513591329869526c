"""Every backup that is known, and where it lies."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from hangar.backup.fetching import AHEAD
from hangar.backup.folder import Folder
from hangar.backup.records import Backup, indexes_of
from hangar.backup.target import Target
from hangar.config import Config
from hangar.watched import span


class Place(NamedTuple):
    """`where` is for people: "here", "damaged" (here, and not whole), or where else it lies; "not proven" where nobody
    known here has signed it."""

    backup: Backup
    where: str


def places(folder: Folder, spool: Iterable[Backup], target: Target | None) -> list[Place]:
    """The newest first. What is here is told as here, wherever else it is.

    Raises:
        HangarError: the target hands nothing out.
    """
    found = {one.id: Place(one, "on the machine only") for one in spool}
    if target:
        found = _at(target, folder, found)
    for one in folder.backups():
        strange = ", not proven" if folder.signers.is_strange(one) else ""
        where = "damaged" if folder.missing(one) else f"here{strange}"
        found[one.id] = Place(one, where)
    return sorted(found.values(), key=lambda place: place.backup.id, reverse=True)


def unfetched(config: Config, now: datetime) -> str:
    """What to say where the machine's backups have been on it alone for longer than `backup.max_age_hours`: they go
    with it. "" where all is well, or another place takes each by itself.
    """
    wanted = config.backup
    if not wanted.enabled or wanted.sftp.host or wanted.gcs.bucket:
        return ""
    folder = Folder.of(config)
    # One of days to come was made while the clock was wrong, and says nothing of how old the others are.
    past = (one for one in folder.backups() if one.when < now + AHEAD)
    newest = next((one for one in past if not folder.missing(one)), None)
    age = (now - newest.when).total_seconds() if newest else None
    if age is not None and age <= wanted.max_age_hours * 3600:
        return ""
    here = f"the last one here is {span(age)} old" if age is not None else "none is here"
    return (
        f"the newest backups are on the machine alone, {here}. Fetch one: ./provision.py backup now "
        f"{config.environment}; or name who takes each by itself: backup.sftp, backup.gcs"
    )


def _at(target: Target, folder: Folder, spool: dict[str, Place]) -> dict[str, Place]:
    """With what the target has. Indexes that are known are not brought again."""
    here = {one.id for one in folder.backups()}
    there = [name[:-5] for name in indexes_of(target.sizes())]
    unknown = [name for name in there if name not in here and name not in spool]
    found = {
        one.id: Place(one, f"at {target.name} only{', not proven' if folder.signers.doubt(one) else ''}")
        for one in target.indexes(f"{name}.json" for name in unknown)
        if one.machine == folder.machine
    }
    both = {
        name: Place(spool[name].backup, f"on the machine, at {target.name}")
        for name in there
        if name in spool
    }
    return {**spool, **found, **both}
