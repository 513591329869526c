"""Encrypted backups come to this computer: from the machine's spool, or from where it sent them."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from hangar import paths
from hangar.backup.folder import Folder
from hangar.backup.machine import Machine
from hangar.backup.records import Backup, Sealed, indexes_of
from hangar.backup.retention import kept
from hangar.backup.target import Target
from hangar.config import Config
from hangar.errors import HangarError

Report = Callable[[str], None]


def from_machine(machine: Machine, folder: Folder, config: Config, report: Report) -> list[str]:
    """What the spool has and retention would keep; returns what came. A call that is killed leaves nothing listed
    that is not whole; the next one goes on.

    Raises:
        HangarError: an object has not come as it was made; or another machine's backup has the name of one, which was
            left out.
        MachineUnreachable: the machine does not answer.
    """
    there = [one for one in machine.show().backups if one.machine == folder.machine]
    known = {one.id for one in folder.backups() if not folder.missing(one)}
    wanted = kept([*known, *(one.id for one in there)], config.backup.keep) - known
    came = [one for one in there if one.id in wanted]
    clashing = {one.id: other for one in came if (other := folder.taken_by(one))}
    for backup in (one for one in came if one.id not in clashing):
        folder.require_room(backup)
        for part in (one for one in backup.parts if one.object in folder.missing(backup)):
            report(f"fetch {part.object}")
            machine.get(part.object, folder.fresh(part.object), part.bytes)
            accept(folder, part)
        folder.write_index(backup)
    for identifier, other in clashing.items():
        raise _clash(folder, identifier, other)
    return [one.id for one in came]


def from_target(target: Target, folder: Folder, wanted: str, report: Report) -> None:
    """The one backup that is named, or the newest for `latest`, unless it is here."""
    sizes = target.sizes()
    for name in indexes_of(sizes):
        if wanted not in ("latest", name[:-5]):
            continue
        if wanted == "latest" and not _is_of(target, folder, name):
            continue
        if _is_here(folder, name):
            return
        found = target.indexes([name])
        if found and all(sizes.get(part.object) == part.bytes for part in found[0].parts):
            _bring(target, folder, found[0], report)
            return


def _is_of(target: Target, folder: Folder, name: str) -> bool:
    """Whether it is the machine's own: several may send to one place."""
    known = folder.find(name[:-5]) or next(iter(target.indexes([name])), None)
    return known is not None and known.machine == folder.machine


def _is_here(folder: Folder, name: str) -> bool:
    found = folder.find(name[:-5])
    return found is not None and not folder.missing(found)


def _bring(target: Target, folder: Folder, backup: Backup, report: Report) -> None:
    if other := folder.taken_by(backup):
        raise _clash(folder, backup.id, other)
    folder.require_room(backup)
    for part in (one for one in backup.parts if one.object in folder.missing(backup)):
        report(f"fetch {part.object} from {target.name}")
        target.get([part.object], folder.fresh(part.object).parent, as_fresh=True, most=part.bytes)
        accept(folder, part)
    folder.write_index(backup)


def _clash(folder: Folder, identifier: str, other: str) -> HangarError:
    """Names are moments: two machines that begin in the same second make the same ones."""
    return HangarError(
        f"{identifier} was not fetched: a backup of {other} has its name.", f"* In: {paths.shown(folder.path)}",
        "Give each machine a folder of its own in platform.yml: backup.folder",
    )  # fmt: skip


def accept(folder: Folder, part: Sealed) -> None:
    """An object that was brought gets its name if it is what the index says.

    Raises:
        HangarError: it is not.
    """
    place = folder.fresh(part.object)
    if _digest(place) != part.sha256:
        place.unlink()
        raise HangarError(
            f"{part.object} has not come as it was made.", f"* Expected SHA-256: {part.sha256}",
            "Run the same command again. If it stays so, the source is damaged or was changed.",
        )  # fmt: skip
    folder.take(part.object)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
