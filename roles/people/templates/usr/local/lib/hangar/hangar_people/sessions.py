# Written by Hangar (role people). Changes made here are lost at the next run.
"""Sessions that a person's key opened in another account (the operator's): found by sshd's log, ended whole."""

import base64
import binascii
import contextlib
import hashlib
import json
import os
import re
import signal
import subprocess
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from . import facts
from .described import Refused

CGROUPS = Path("/sys/fs/cgroup")
SSHD = "sshd-session"
"""What OpenSSH calls the process that root keeps for each connection; it writes the log's lines about it."""

TITLE = re.compile(r"sshd-session: (\S+) \[priv\]")
SCOPE = re.compile(r"/session-[^/]+\.scope$")
ACCEPTED = re.compile(r"Accepted publickey for (\S+) from \S+ port \d+ ssh2: \S+ (SHA256:[A-Za-z0-9+/]+)")

PATIENCE = 5.0
"""Seconds until nothing of them may run any more."""
LOG_PATIENCE = 2.0
"""Seconds for an answer of the journal's: the promise holds also where there is none."""


@dataclass(frozen=True)
class Process:
    name: str
    parent: int
    uid: int
    group: str


@dataclass(frozen=True)
class Opened:
    """A connection: its process, the account, and the key's fingerprint, empty where the log tells it no more."""

    pid: int
    account: str
    key: str


def fingerprints(blobs: Iterable[str]) -> set[str]:
    """Return the keys as sshd's log names them."""
    found = set()
    for blob in blobs:
        with contextlib.suppress(binascii.Error):  # a line that was damaged by hand opens nothing
            digest = hashlib.sha256(base64.b64decode(blob + "=" * (-len(blob) % 4))).digest()
            found.add("SHA256:" + base64.b64encode(digest).decode().rstrip("="))
    return found


def end(lost: Collection[str], admitted: dict[str, set[str]], closed: Collection[str]) -> None:
    """End what the keys `lost` opened in accounts that admit them no more (`admitted`: the keys of each account). In
    an account that has just lost a key (`closed`), what the log cannot tell whose it is ends too: a login that is
    under way, say. The session from which this is asked goes on.

    Raises:
        Refused: something does not end.
    """
    until, killed = time.monotonic() + PATIENCE, set[int]()
    while True:
        there = processes()
        found = _doomed(there, lost, admitted, closed)
        killed |= found
        left = killed & set(there)
        if not left:
            return
        if time.monotonic() > until:
            raise Refused(
                f"the processes {sorted(left)}, of a key that was taken, do not end; restart the machine"
            )
        time.sleep(0.02)


def _doomed(
    there: dict[int, Process], lost: Collection[str], admitted: dict[str, set[str]], closed: Collection[str]
) -> set[int]:
    """Kill what runs now; return what was found."""
    found = set()
    for one in opened(there):
        is_lost = one.key in lost and one.key not in admitted.get(one.account, set())
        if not is_lost and not (not one.key and one.account in closed):
            continue
        inside = members(one.pid, there)
        if os.getpid() not in inside:  # who asks: that connection closes after the answer
            _kill(there[one.pid].group, inside)
            found |= inside
    return found


def _kill(group: str, inside: Iterable[int]) -> None:
    """At once, where it is a session of its own: no fork gets away."""
    if SCOPE.search(group):
        with contextlib.suppress(OSError):  # it went while we looked
            (CGROUPS / group.lstrip("/") / "cgroup.kill").write_text("1")
    for pid in inside:
        with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
            os.kill(pid, signal.SIGKILL)


def members(pid: int, there: dict[int, Process]) -> set[int]:
    """What belongs to a connection: all in its session, also what became root or daemon there, and what descends from
    it. Not what shares its number with auditd: in a container all have their computer's.
    """
    group, found = there[pid].group, {pid}
    if SCOPE.search(group):
        found |= {
            other for other, one in there.items() if one.group == group or one.group.startswith(f"{group}/")
        }
    while more := {other for other, one in there.items() if one.parent in found} - found:
        found |= more
    return found


def opened(there: dict[int, Process]) -> list[Opened]:
    """Return the connections, each with the key that the log says opened it."""
    pids = [pid for pid, one in there.items() if one.name == SSHD and one.uid == 0]
    told = _log(pids) if pids else {}
    return [Opened(pid, *told.get(pid, (_account(pid), ""))) for pid in pids]


def _account(pid: int) -> str:
    """By the title that sshd gives the process."""
    with contextlib.suppress(OSError):  # it has ended
        title = TITLE.match((facts.PROC / str(pid) / "cmdline").read_text(errors="replace"))
        return title[1] if title else ""
    return ""


def _log(pids: Iterable[int]) -> dict[int, tuple[str, str]]:
    """Return account and key by process: the last that it logged, as numbers are used again. journald puts
    down itself who wrote a line, so nobody but root can.
    """
    # What journald has been told and not yet written is not found.
    _journal("--sync")
    argv = ["--boot", "--quiet", "--no-pager", "--output=json", "--output-fields=_PID,MESSAGE", "_UID=0"]
    found = {}
    for line in _journal(*argv, *(f"_PID={pid}" for pid in pids)).splitlines():
        entry = json.loads(line)
        said = ACCEPTED.match(entry["MESSAGE"]) if isinstance(entry.get("MESSAGE"), str) else None
        if said:
            found[int(entry["_PID"])] = (said[1], said[2])
    return found


def _journal(*words: str) -> str:
    """What journalctl answers. A journal that hangs keeps nobody in: without an answer no session is known."""
    try:
        asked = subprocess.run(
            ["journalctl", *words], capture_output=True, text=True, check=False, timeout=LOG_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return ""
    return asked.stdout if asked.returncode == 0 else ""


def processes() -> dict[int, Process]:
    """Return what runs, by number."""
    found = {}
    for path in facts.PROC.iterdir():
        if path.name.isdigit():
            try:
                status, groups = facts.text(path / "status"), facts.text(path / "cgroup")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            lines = dict(line.split(":\t", 1) for line in status.split("\n") if ":\t" in line)
            group = next((line[3:] for line in groups.split("\n") if line.startswith("0::")), "")
            if not lines["State"].startswith("Z"):
                uid = int(lines["Uid"].split()[0])
                found[int(path.name)] = Process(lines["Name"], int(lines["PPid"]), uid, group)
    return found
