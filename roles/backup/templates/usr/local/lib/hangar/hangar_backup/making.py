# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A backup: each part is copied, tried, encrypted; the index last; then it is sent."""

import contextlib
import fcntl
import hashlib
import pwd
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO

from hangar_files import FileProblem

from . import databases, files, room, sending, signing, spool, state
from .described import HOME, RECIPIENTS, SPOOL, WORK, Described, Refused
from .parts import Part, parts
from .records import Backup, Sealed, moment, when, write
from .running import make_work, wipe
from .scratch import cluster
from .sealing import seal

ROOM = 256 * 2**20
"""Bytes that a backup leaves free beyond twice its predecessor: a full disk stops the databases too."""


PATIENCE = 900
"""Seconds that a backup or restore at work is waited for."""


class Ended(Refused):
    """Whoever started the backup has ended it."""


OWNERS = ("airflow", "airbyte", "warehouse")


def make(described: Described) -> Backup:
    """Make a backup and send it. A part that fails does not keep the others from being made and sent.

    Raises:
        Refused: with the reason, which the alert tells too. Backups from before stay as they are.
    """
    with alone(PATIENCE):
        try:
            backup, failed = _make(described)
            _send(described, backup, whole=not failed)
            if failed:
                raise Refused("; ".join(failed))
        except (Refused, FileProblem, OSError) as problem:
            wipe(WORK)  # before the reason is kept: where the disk is full, it needs that room
            with contextlib.suppress(OSError):
                state.remember(problem=str(problem))
            raise Refused(str(problem)) from None
        finally:
            wipe(WORK)
            spool.prune(described.kept)
            with contextlib.suppress(OSError):
                state.tell(described, state.read())
        return backup


@contextmanager
def alone(patience: float = 0) -> Iterator[None]:
    """One at a time; the kernel lets go however we end. `patience` is how many seconds another one is waited for."""
    latest = time.monotonic() + patience
    with (HOME / "lock").open("a") as file:
        while not _is_ours(file):
            if time.monotonic() >= latest:
                raise Refused("Another backup or restore is at work; wait for it")
            time.sleep(0.5)
        yield


def _is_ours(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _make(described: Described) -> tuple[Backup, list[str]]:
    began, identifier = time.monotonic(), moment()
    _require_finished()
    make_work()
    known = spool.backups()
    _require_room(known)
    before = state.read()
    circumstances = _circumstances(described)
    if before.circumstances != circumstances:
        before = replace(before, circumstances=circumstances, prints={}, delivered=[])
    maker = Maker(described, identifier, known, before)
    sealed = maker.all_of(parts(described))
    if not any(one.part == "secrets" for one in sealed):
        raise Refused("; ".join(maker.failed))  # without the keys nothing else can be read
    roles = _roles(described, known)
    new = tuple(one.part for one in sealed if one.made == identifier)
    seconds = round(time.monotonic() - began, 1)
    made = datetime.now(UTC).isoformat(timespec="seconds")
    backup = Backup(identifier, described.machine, made, seconds, sealed, numbers(), roles, new)
    backup = signing.signed(described, backup)
    write(backup, SPOOL)
    state.remember(circumstances=circumstances, delivered=before.delivered, prints=maker.prints)
    return backup, maker.failed


def _roles(described: Described, known: list[Backup]) -> tuple[str, ...]:
    """Who owns what is in the warehouse; who did, where it does not answer (its part has failed then)."""
    if not described.warehouse:
        return ()
    try:
        return tuple(databases.ask_warehouse(described, databases.ROLES).split())
    except Ended:
        raise
    except Refused:
        return known[0].roles if known else ()


def _require_finished() -> None:
    if half := state.read().unfinished:
        raise Refused(
            f"{half} was put back in part: what is here is a mixture, and no backup is made of it. "
            f"Finish that: ./provision.py backup restore --from {half}"
        )


def _require_room(known: list[Backup]) -> None:
    free, needed = shutil.disk_usage(HOME).free, 2 * spool.size(known) + ROOM
    if free < needed:
        raise Refused(
            f"The disk is nearly full: a backup needs {needed >> 20} MiB, {free >> 20} MiB are free"
        )


def _circumstances(described: Described) -> str:
    """Other keys or another target: nothing from before can be referred to."""
    keys = RECIPIENTS.read_text() if RECIPIENTS.is_file() else ""
    return hashlib.sha256(f"{keys}\n{described.target}\n{described.folders}".encode()).hexdigest()


def numbers() -> dict[str, int]:
    """Whose numbers own what is copied."""
    found = {}
    for name in OWNERS:
        with contextlib.suppress(KeyError):
            found[name] = pwd.getpwnam(name).pw_uid
    return found


@dataclass
class Maker:
    """Makes the parts of one backup; `prints` gathers what is to be remembered, `failed` which parts failed and why."""

    described: Described
    identifier: str
    known: list[Backup]
    before: state.State

    def __post_init__(self) -> None:
        self.prints: dict[str, list[str]] = {}
        self.failed: list[str] = []

    def all_of(self, wanted: Iterable[Part]) -> tuple[Sealed, ...]:
        """Each part; where one cannot be made, the last good copy of it, if there is one."""
        found = []
        for part in wanted:
            try:
                with room.left():
                    found.append(self.ensure(part))
            except Ended:
                raise
            except (Refused, FileProblem, OSError) as problem:
                found += self._instead(part, problem)
        return tuple(found)

    def _instead(self, part: Part, problem: Exception) -> list[Sealed]:
        (WORK / part.name).unlink(missing_ok=True)
        remembered = self.before.prints.get(part.name)
        earlier = self._known(remembered)
        self.failed.append(
            f"{part.words}: {str(problem).rstrip('.')}. "
            + (
                f"{self.identifier} has the copy of {earlier.made}"
                if earlier
                else f"{self.identifier} is without it"
            )
        )
        print(self.failed[-1], flush=True)
        if earlier is None or remembered is None:
            return []
        earlier = self._to_be_sent(earlier)
        self.prints[part.name] = [remembered[0], earlier.object]
        return [earlier]

    def _to_be_sent(self, earlier: Sealed) -> Sealed:
        """The object, under a name of its own where its transfer did not come to its end: what the target has of it is
        neither replaced there nor to be seen, and would be taken for it.
        """
        if not self.described.target or earlier.object in self.before.delivered:
            return earlier
        name = f"{earlier.part}-{self.identifier}.age"
        (SPOOL / name).unlink(missing_ok=True)
        (SPOOL / name).hardlink_to(SPOOL / earlier.object)  # it takes no room
        return replace(earlier, object=name)

    def _known(self, remembered: list[str] | None) -> Sealed | None:
        """What was made of a part before, unless it is too old to be referred to, or damaged since: each backup that
        refers to it would be as lost.
        """
        objects = (one for backup in self.known for one in backup.parts)
        found = next((one for one in objects if remembered and one.object == remembered[1]), None)
        # A clock that was wrong makes one of days to come, which is no younger for it.
        if found is None or abs(when(self.identifier) - when(found.made)) > timedelta(
            days=self.described.full_days
        ):
            return None
        if not spool.is_sound(found, SPOOL):
            print(f"{found.object}: damaged, removed", flush=True)
            (SPOOL / found.object).unlink(missing_ok=True)
            return None
        return found

    def ensure(self, part: Part) -> Sealed:
        """The part as it is now: an object from before where it has not changed, else a new one."""
        # Before the copy: what is written meanwhile makes a difference the next time.
        fingerprint = part.fingerprint()
        sealed = self._unchanged(part, fingerprint) or self._made(part)
        self.prints[part.name] = [fingerprint, sealed.object]
        return sealed

    def _unchanged(self, part: Part, fingerprint: str) -> Sealed | None:
        remembered = self.before.prints.get(part.name)
        if not fingerprint or not remembered or remembered[0] != fingerprint:
            return None
        sealed = self._known(remembered)
        if sealed is None or (self.described.target and sealed.object not in self.before.delivered):
            return None
        print(f"{part.words}: unchanged since {sealed.made}", flush=True)
        return sealed

    def _made(self, part: Part) -> Sealed:
        print(f"{part.words}: copy", flush=True)
        plain = WORK / part.name
        part.make(plain)
        tables = self._tried(part, plain)
        sealed = seal(plain, part.name, self.identifier, SPOOL, tables)
        plain.unlink()
        return sealed

    def _tried(self, part: Part, plain: Path) -> int:
        if part.trial:
            return part.trial(plain)
        if not part.is_dump:
            files.count(plain)
            return 0
        # A cluster for each: whoever wrote the one is not to meet the other.
        if part.name == "warehouse":
            roles = databases.ask_warehouse(self.described, databases.ROLES).split()
            with cluster(self.described, "warehouse", roles) as scratch:
                return scratch.restore(part.name, plain, roles, ours=True)
        # Whatever works with Airflow's database administers it, and may have written anything into its dump.
        with cluster(self.described, "trial", ["airflow"]) as scratch:
            return scratch.restore(part.name, plain, ["airflow"], ours=False)


def _send(described: Described, backup: Backup, *, whole: bool) -> None:
    found = state.read()
    if described.target:
        news = [part.object for part in backup.parts if part.object not in found.delivered]
        print(f"send it to {described.target.name}", flush=True)
        sending.send(described.target, [*news, f"{backup.id}.json"])
    objects = [part.object for part in backup.parts]
    state.remember(delivered=objects)
    if whole:
        state.remember(good=state.now(), last=backup.id, problem="")
