"""Encrypted backups come to this computer: from the machine's spool, or from where it sent them."""

import hashlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hangar import console, paths
from hangar.backup.folder import Folder
from hangar.backup.machine import Machine
from hangar.backup.records import Backup, Sealed, indexes_of, moment
from hangar.backup.retention import kept
from hangar.backup.target import Target
from hangar.config import Config
from hangar.errors import HangarError, MachineUnreachable

AHEAD = timedelta(days=1)
"""How far a machine's clock may be before ours."""

AT_ONCE = 50
"""Indexes that are asked for in one connection."""

Report = Callable[[str], None]


def from_machine(machine: Machine, folder: Folder, config: Config, report: Report) -> list[str]:
    """What the spool has and retention would keep, the oldest first; returns what came. A call that is killed leaves
    nothing listed that is not whole; the next one goes on. What is older than the newest here, or is of days to come,
    stays there: whoever has taken the machine could push what was fetched before out of retention by it.

    Raises:
        HangarError: an object has not come as it was made, or there is no room for one; or another machine's backup has
            the name of one. Those were left out, and the others came.
        MachineUnreachable: the machine does not answer.
    """
    there = [one for one in machine.show().backups if one.machine == folder.machine]
    known = {one.id for one in folder.ours() if not folder.missing(one)}
    credible = [one for one in there if _is_credible(one, folder, max(known, default=""))]
    if ahead := [one.id for one in there if one.when >= now() + AHEAD]:
        console.warn(f"Left on {folder.machine}: {', '.join(ahead[:5])}, of days to come. See its clock.")
    wanted = kept([*known, *(one.id for one in credible)], config.backup.keep) - known
    came = sorted((one for one in credible if one.id in wanted), key=lambda one: one.id)
    clashing = {one.id: other for one in came if (other := folder.taken_by(one))}
    problems: list[HangarError] = []
    for backup in (one for one in came if one.id not in clashing):
        # One that is damaged there, or has no room here, keeps no other from coming: it may be there for days.
        try:
            _fetch(machine, folder, backup, report)
        except MachineUnreachable as problem:
            machine.show()  # where it answers, one object alone cannot be had
            problems.append(HangarError(problem.brief, problem.details, problem.resolution))
        except HangarError as problem:
            problems.append(problem)
    if problems:
        raise _first_of(problems)
    for identifier, other in clashing.items():
        raise _clash(folder, identifier, other)
    return [one.id for one in came]


def _fetch(machine: Machine, folder: Folder, backup: Backup, report: Report) -> None:
    folder.require_room(backup)
    for part in (one for one in backup.parts if one.object in folder.missing(backup)):
        report(f"fetch {part.object}")
        machine.get(part.object, folder.fresh(part.object), part.bytes)
        accept(folder, part)
    folder.write_index(backup)


def _first_of(problems: list[HangarError]) -> HangarError:
    """The first problem, which names the others."""
    first, *others = problems
    first.details = "\n".join(filter(None, [first.details, *(f"* {one.brief}" for one in others)]))
    return first


def _is_credible(backup: Backup, folder: Folder, newest: str) -> bool:
    """Whether an honest machine would have it: it is later than what is here, or was here before."""
    return (newest < backup.id and backup.when < now() + AHEAD) or folder.find(backup.id) == backup


def in_time(arrived: Iterable[str]) -> list[str]:
    """Those of these backups, in the order in which they came to a place, that an honest machine sends: each is later
    than the one before, and none is of days to come.
    """
    found: list[str] = []
    for identifier in arrived:
        if identifier > (found[-1] if found else "") and moment(identifier) < now() + AHEAD:
            found.append(identifier)
    return found


def now() -> datetime:
    return datetime.now(UTC)


def from_target(target: Target, folder: Folder, wanted: str, report: Report) -> list[str]:
    """The one backup that is named, or for `latest` the newest that is proven to be the machine's, unless it is here.
    Returns newer ones that are not proven, and were left aside.
    """
    sizes = target.sizes()
    names = [name for name in indexes_of(sizes) if wanted in ("latest", name[:-5])]
    aside: list[str] = []
    for start in range(0, len(names), AT_ONCE):
        some = names[start : start + AT_ONCE]
        found = {one.id: one for one in target.indexes(name for name in some if not _is_here(folder, name))}
        for name in some:
            if _is_here(folder, name):
                if wanted != "latest" or name[:-5] in {one.id for one in folder.ours()}:
                    return aside
                continue
            backup = found.get(name[:-5])
            if backup is None or any(sizes.get(part.object) != part.bytes for part in backup.parts):
                continue
            if wanted == "latest" and backup.machine != folder.machine:
                continue  # several may send to one place
            if wanted == "latest" and folder.signers.doubt(backup):
                aside.append(backup.id)
                continue
            _bring(target, folder, backup, report)
            return aside
    return aside


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
