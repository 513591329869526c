# Written by Hangar (role people). Changes made here are lost at the next run.
"""How somebody leaves: shut out, ended, cleared away, archived, forgotten. Each step may be taken again."""

import contextlib
import ctypes
import os
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import hangar_bounds

from . import accounts, facts, keys, ledger
from .described import Person, Refused, today

ARCHIVE = Path("/srv/people/archive")
PASSWORDS = Path("/srv/people/passwords")
SLICES = Path("/sys/fs/cgroup/user.slice")
SPOOLS = (
    Path("/var/spool/cron/crontabs"),
    Path("/var/mail"),
    Path("/run/sudo/ts"),
    Path("/var/lib/sudo/lectured"),
)
AT_JOBS = Path("/var/spool/cron/atjobs")
SHARED = (Path("/srv/airflow/dags"), Path("/srv/airflow/data/drop"))
"""Where people write beside each other. What they made stays, and is nobody's whose account is gone."""
SHARING = Path("/usr/local/sbin/airflow-live")
"""Comes with the role airflow, where the machine has it."""
SCRATCH = (
    "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock", "/run/screen", "/var/spool/cron/atspool",
)  # fmt: skip
"""Where everybody may put something: also shared memory, message queues, locks, and what their at jobs had to say."""
SYSTEM_V = {"shm": "shmctl", "sem": "semctl", "msg": "msgctl"}
"""What has no file and outlives its processes, by its list in /proc/sysvipc, with the C library's word for it."""
IPC_RMID = 0
"""linux/ipc.h"""
DETACH = 2
"""linux/fs.h: MNT_DETACH"""
ESCAPED = re.compile(rb"\\([0-7]{3})")
"""How the kernel writes a blank, say, of a mounted folder's name."""

PATIENCE = 5.0
"""Seconds until nothing of theirs may run any more."""
AT_ONCE = 0.5
"""Seconds for a single call to the kernel."""


def leave(name: str, uid: int) -> None:
    """All of it, from the revocation on. What is done already is passed over.

    Raises:
        Refused: something is left to do; the person is out all the same.
    """
    bar(name, uid)
    clear(name, uid)
    archive(name)
    if name in facts.gather().people:
        accounts.run("userdel", name)
    ledger.note_left(name)


def bar(name: str, uid: int) -> None:
    """Shut them out and end what runs: seconds, whatever they leave behind.

    Raises:
        Refused: something does not end; the person is out all the same.
    """
    shut_out(name)
    end(name, uid)


def shut_out(name: str) -> None:
    """No key, no shell, no group: from here on nobody comes in under this name.

    Raises:
        Refused: what one of their keys opened in another account does not end.
    """
    try:
        keys.take(name)
    finally:
        # Nothing is asked of the disk of the homes: what is wrong with it keeps nobody in.
        if name in facts.accounts():
            accounts.run(
                "usermod", "--expiredate", "1970-01-02", "--shell", "/usr/sbin/nologin", "--groups", "", name
            )


def end(name: str, uid: int) -> None:
    """End every process of theirs, and what they started as somebody else from a session of theirs.

    Raises:
        Refused: something does not end.
    """
    (facts.LINGER / name).unlink(missing_ok=True)
    until = time.monotonic() + PATIENCE
    while (left := _end_once(uid)) and time.monotonic() < until:
        time.sleep(0.02)
    if left:
        raise Refused(f"{name}: the processes {sorted(left)} do not end; restart the machine")
    # The managers are gone already; this lets systemd see it, and forget that one was killed: whoever watches the
    # machine is told of every unit that has failed.
    units = [f"user@{uid}.service", f"user-runtime-dir@{uid}.service", f"user-{uid}.slice"]
    for verb in ("stop", "reset-failed"):
        with contextlib.suppress(subprocess.TimeoutExpired):  # they are out whatever systemd is busy with
            _quietly(["systemctl", verb, *units], timeout=PATIENCE)


def _quietly(argv: Sequence[str], timeout: float | None = None) -> None:
    """Run a tool whose complaints nobody reads: they name what the leaver has made, as much of it as they like."""
    null = subprocess.DEVNULL
    subprocess.run(argv, check=False, stdin=null, stdout=null, stderr=null, timeout=timeout)


def _end_once(uid: int) -> set[int]:
    """Kill what runs now; return what may not have ended yet. The kernel ends the whole slice at once, so no fork gets
    away: before anything of it is looked at, whose shape is the person's own choice.
    """
    group = SLICES / f"user-{uid}.slice"
    if _is_populated(group):
        with contextlib.suppress(OSError):  # the slice went while we looked
            (group / "cgroup.kill").write_text("1")
    inside = _members(group)
    # Jobs of cron and at run outside of the slice.
    outside = {pid for pid, uids in facts.processes().items() if uid in uids}
    for pid in outside:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, signal.SIGKILL)
    return outside | inside | _end_at_once(uid)


def _end_at_once(uid: int) -> set[int]:
    """All that runs as that number, by one call to the kernel: what starts itself anew, again and again, is another
    process each time when its turn would come, and is not even seen. Returns nothing, or who did not come to that.
    """
    if uid not in ledger.UIDS:
        return set()  # a book that was damaged by hand ends nobody of the machine's own
    child = os.fork()
    if child == 0:
        status = 1
        try:
            os.setresuid(uid, uid, uid)
            with contextlib.suppress(ProcessLookupError):  # nobody is there
                os.kill(-1, signal.SIGKILL)
            status = 0
        finally:
            os._exit(status)
    until = time.monotonic() + AT_ONCE
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > until:  # it runs as them, so they may stop or end it; the next turn begins anew
            os.kill(child, signal.SIGKILL)
        time.sleep(0.002)
    return {child} if ended[1] else set()


def _is_populated(group: Path) -> bool:
    try:
        return "populated 1" in (group / "cgroup.events").read_text()
    except OSError:
        return False  # nobody of that number is here


def _members(group: Path) -> set[int]:
    """What runs in a slice and in the groups below it: one that is threaded, or gone by now, tells of nothing."""
    if not _is_populated(group):
        return set()
    found = set[int]()
    for folder, _, _ in os.walk(group):
        with contextlib.suppress(OSError):
            found |= {int(pid) for pid in Path(folder, "cgroup.procs").read_text().split()}
    return found & set(facts.processes())


def clear(name: str, uid: int) -> None:
    """Remove what would run later or holds a secret; files in shared folders stay, as root's and the group's."""
    _unmount(name, uid)
    for folder in SPOOLS:
        for path in (folder / name, folder / str(uid)):
            path.unlink(missing_ok=True)
    for path in AT_JOBS.iterdir() if AT_JOBS.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # it has run meanwhile
            if path.lstat().st_uid == uid:
                path.unlink()
    (PASSWORDS / name).unlink(missing_ok=True)
    # Folders in which others have put something cannot go, and need not.
    scratch = [folder for folder in SCRATCH if Path(folder).is_dir()]
    _quietly(["find", *scratch, "-xdev", "-depth", "-uid", str(uid), "-delete"])
    _free(uid)
    hand_over(uid)


def withdraw(person: Person, uid: int) -> None:
    """Take the right to write DAGs from somebody who stays: what runs with it, and what would go on to give it. Once
    before the groups as well, so that a call that is killed begins again.

    Raises:
        Refused: something does not end; the right is taken all the same.
    """
    _disarm(person.name, uid)
    accounts.set_groups(person)
    try:
        end(person.name, uid)
    finally:
        _disarm(person.name, uid)


def _disarm(name: str, uid: int) -> None:
    """A file of the shared folder has its rights by any other name too, one in a home, say; and a program that lends
    the group would lend it to them for ever. To give a file to its owner takes such a bit, and follows no link.
    """
    _unmount(name, uid)
    hand_over(uid)
    places = [str(ledger.HOMES / name), *SCRATCH]
    argv = ["find", *(place for place in places if Path(place).is_dir()), "-ignore_readdir_race", "-xdev"]
    argv += ["-uid", str(uid), "-perm", "/6000", "-execdir", "chown", "-h", f"{uid}:{uid}", "{}", "+"]
    _quietly(argv)


def hand_over(uid: int) -> None:
    """What they made in the shared folders stays, as root's and the group's."""
    # What they put there in the last seconds may be closed to everybody but them; as root's, nobody would open it.
    if SHARING.exists():
        _quietly([str(SHARING), "of", str(uid)])
    # Others work in these folders meanwhile: what goes before its turn is no trouble.
    if shared := [str(folder) for folder in SHARED if folder.is_dir()]:
        argv = ["find", *shared, "-ignore_readdir_race", "-xdev", "-uid", str(uid)]
        argv += ["-execdir", "chown", "-h", "root", "{}", "+"]
        _quietly(argv)


def _unmount(name: str, uid: int) -> None:
    """What they mounted (FUSE), or a friend in their home: it outlives the program that answers for it, and until it is
    gone, nobody can look at the folder, pack it or remove it.
    """
    below = os.fsencode(ledger.HOMES / name) + b"/"
    for line in reversed(facts.text(facts.PROC / "self/mountinfo").split("\n")):
        mount, _, origin = line.partition(" - ")
        kind, _, options = [*origin.split(" "), "", "", ""][:3]
        if kind.startswith("fuse"):
            number, place = mount.split(" ")[0], os.fsencode(mount.split(" ")[4])
            place = ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), place)
            if f"user_id={uid}" in options.split(",") or place.startswith(below):
                with contextlib.suppress(OSError):  # it has gone meanwhile, or been moved
                    _detach(number, place)


def _detach(number: str, place: bytes) -> None:
    """Take off the mount of this number and no other: whoever may write a folder above it could put a link in the way.

    Raises:
        OSError: it is not there.
    """
    at = os.open("/", os.O_PATH)
    try:
        for part in filter(None, place.split(b"/")):
            above, at = at, os.open(part, os.O_PATH | os.O_NOFOLLOW, dir_fd=at)
            os.close(above)
        if f"mnt_id:\t{number}\n" in facts.text(Path(f"/proc/self/fdinfo/{at}")):
            ctypes.CDLL(None).umount2(f"/proc/self/fd/{at}".encode(), DETACH)
    finally:
        os.close(at)


def _free(uid: int) -> None:
    """Shared memory, semaphores and queues of System V: logind frees those of sessions that it knew, not a job's."""
    library = ctypes.CDLL(None)
    for kind, call in SYSTEM_V.items():
        path = facts.PROC / "sysvipc" / kind
        head, *rows = [line.split() for line in facts.text(path).split("\n")] if path.exists() else [[]]
        for row in filter(None, rows):
            one = dict(zip(head, row, strict=True))
            if str(uid) in (one["uid"], one["cuid"]):
                # A semaphore's is the third word, and a zero stands before it; what went meanwhile is no trouble.
                getattr(library, call)(int(row[1]), IPC_RMID, IPC_RMID)


def archive(name: str) -> None:
    """Pack the home where only root reads it, then remove it.

    Raises:
        Refused: it cannot be packed; the home stays where it is.
    """
    home, gone = ledger.HOMES / name, ledger.HOMES / f".gone-{name}"
    _wipe(gone)  # a killed call's
    if not home.is_dir():
        return
    ARCHIVE.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = ARCHIVE / f".{name}.partial"
    argv = ["tar", "--create", "--file", str(partial), "--directory", str(ledger.HOMES), "--one-file-system"]
    argv += ["--numeric-owner", "--acls", "--xattrs", "--sparse", name]
    done = hangar_bounds.run(argv, seconds=None, umask=0o077)
    if done.returncode:
        partial.unlink(missing_ok=True)
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise Refused(
            f"{name} is out, but the home {home} cannot be archived: {said}. Make room, then run again"
        )
    with partial.open("rb") as stream:
        os.fsync(stream.fileno())
    partial.rename(_free_name(name))
    home.rename(gone)
    _wipe(gone)


def _wipe(folder: Path) -> None:
    """All of it goes, also what lies deeper than a path is long, where Python's own way does not come to the end."""
    argv = ["rm", "--recursive", "--force", "--one-file-system", "--", str(folder)]
    _quietly(argv)


def _free_name(name: str) -> Path:
    wanted = ARCHIVE / f"{name}-{today():%Y%m%d}.tar"
    number = 2
    while wanted.exists():
        wanted = ARCHIVE / f"{name}-{today():%Y%m%d}-{number}.tar"
        number += 1
    return wanted
