# Written by Hangar (role backup). Changes made here are lost at the next run.
"""The verbs of the program `backup`."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import NoReturn

from . import making, putting_back, signing, spool, state
from .described import HOME, RECIPIENTS, SENDING_KEY, SIGNING_KEY, SPOOL, Described, Refused, load
from .records import write_whole
from .running import run

TIMER = "hangar-backup.timer"


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Run a verb. What goes wrong ends it with status 1 and a sentence."""
    try:
        if os.geteuid() != 0:
            raise Refused("only root can do this. Try: sudo backup " + " ".join(arguments))
        os.umask(0o077)
        _run(list(arguments), usage)
    except Refused as problem:
        sys.exit(f"backup: {problem}")


def _run(arguments: list[str], usage: str | None) -> None:
    described = load()
    match arguments:
        case ["look", *offered]:
            for line in look(described, offered):
                print(line)
        case ["ensure", *offered]:
            ensure(described, offered)
        case ["now"]:
            signal.signal(signal.SIGTERM, _end)
            backup = making.make(described)
            print(f"{backup.id}: made in {backup.seconds:g} s, new: {', '.join(backup.new) or 'nothing'}")
        case ["tidy"]:
            putting_back.tidy()
        case ["show"]:
            print(json.dumps(show(), indent=1))
        case ["key"]:
            print(SENDING_KEY.with_suffix(".pub").read_text().strip() if SENDING_KEY.exists() else "")
        case ["send", name]:
            send(name)
        case ["receive", part]:
            putting_back.receive(part, sys.stdin.buffer)
        case ["restore"]:
            for words in putting_back.restore(described, json.loads(sys.stdin.readline())):
                say(words)
        case _:
            sys.exit(usage)


def _end(number: int, frame: object) -> NoReturn:
    """What was begun is tidied away, and the reason is kept."""
    signal.signal(number, signal.SIG_IGN)
    raise making.Ended("The backup was ended before it was whole: it took too long, or somebody stopped it")


def say(words: str) -> None:
    """To whoever still listens: half a restore because of a lost connection would be worse than a silent one."""
    try:
        print(words, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def look(described: Described, offered: Sequence[str]) -> list[str]:
    """What is to be done, a word a line."""
    found = [] if _are_installed(described.packages) else ["packages"]
    if _recipients(described, offered) is not None:
        found.append("recipients")
    if described.sftp and not SENDING_KEY.exists():
        found.append("key")
    if not SIGNING_KEY.exists():
        found.append("signer")
    if subprocess.run(["systemctl", "is-active", "--quiet", TIMER], check=False).returncode != 0:
        found.append("timer")
    if putting_back.is_littered():
        found.append("leftovers")
    return found


def _are_installed(packages: Sequence[str]) -> bool:
    argv = ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ", *packages]
    shown = subprocess.run(argv, capture_output=True, text=True, check=False).stdout
    return shown.split() == ["installed"] * len(packages)


def _recipients(described: Described, offered: Sequence[str]) -> str | None:
    """The public keys that are to be written. An offered one never replaces what is there: the backups' reader would
    change with whoever ran `up` last.
    """
    there = RECIPIENTS.read_text() if RECIPIENTS.is_file() else ""
    wanted = "".join(f"{key}\n" for key in described.recipients or (() if there else offered))
    return wanted if wanted not in ("", there) else None


def ensure(described: Described, offered: Sequence[str] = ()) -> None:
    """Public keys to encrypt to, a key of this machine's own for the host that takes backups, and the timer; plain
    copies that a killed call left go.
    """
    for folder in (SPOOL, SENDING_KEY.parent):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    signing.ensure(described)
    wanted = _recipients(described, offered)
    if wanted is not None:
        write_whole(RECIPIENTS, wanted, 0o644)
    if described.sftp and not SENDING_KEY.exists():
        comment = f"{described.machine} adds backups"
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", SENDING_KEY], "Making a key")
    putting_back.clean()
    run(["systemctl", "start", TIMER], "Starting the timer")
    state.tell(described, state.remember())


def show() -> dict[str, object]:
    """All that the controller asks."""
    names = "NextElapseUSecRealtime,LastTriggerUSec,ActiveState"
    argv = ["systemctl", "show", TIMER, "--property", names, "--timestamp=unix"]
    timer = dict(line.split("=", 1) for line in run(argv, "Asking systemd").splitlines() if "=" in line)
    found = state.read()
    return {
        "backups": [asdict(backup) for backup in spool.backups()],
        "recipients": RECIPIENTS.read_text().splitlines() if RECIPIENTS.is_file() else [],
        "signer": signing.public_key(),
        "last": found.last, "good": found.good, "problem": found.problem,
        "timer": timer, "free": os.statvfs(HOME).f_bavail * os.statvfs(HOME).f_frsize,
    }  # fmt: skip


def send(name: str) -> None:
    """An object of the spool to standard output: encrypted, so it is nobody's secret."""
    place = spool.place_of(name)
    if place is None:
        raise Refused(f"There is no {name} in the spool")
    with place.open("rb") as stream:
        while block := stream.read(2**20):
            sys.stdout.buffer.write(block)
    sys.stdout.buffer.flush()
