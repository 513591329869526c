# Written by Hangar (role people). Changes made here are lost at the next run.
"""The verbs of the program `people`."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from . import described, facts, keys, leaving, ledger, steps
from .described import Refused

LOCK = Path("/run/hangar-people.lock")
AIRFLOW = Path("/usr/local/sbin/airflow-accounts")
"""Comes with the role airflow, where the machine has it."""

NOT_NOW = 75
"""Its way to say that Airflow's database does not run; the accounts follow when it does."""

TROUBLE = (Refused, subprocess.CalledProcessError, OSError)
"""What one step may come to without a mistake of ours."""

WAIT, REMOVAL_WAIT = 60.0, 900.0
"""Seconds for another call to end; a removal outwaits the packing of a large home."""


def main(arguments: Sequence[str], usage: str | None) -> None:
    """Run a verb. What a person has to decide ends it with status 1 and a sentence."""
    try:
        _run(list(arguments), usage)
    except TROUBLE as problem:
        sys.exit(f"people: {_told(problem)}")


def _run(arguments: list[str], usage: str | None) -> None:
    if os.geteuid() != 0:
        raise Refused("only root can do this. Try: sudo people " + " ".join(arguments))
    match arguments:
        case ["look"]:
            _say(look())
        case ["admit"]:
            with alone():
                _say(admit())
        case ["apply"]:
            with alone():
                _say(apply())
        case ["remove", name]:
            print(json.dumps(remove(name)))
        case ["show"]:
            print(json.dumps(show()))
        case _:
            sys.exit(usage)


def look() -> list[str]:
    """Return everything that is to be done, a line each."""
    todo = steps.needed(described.load(), facts.gather())
    return [step.what for step in todo] + [f"Airflow: {line}" for line in _airflow("look")]


def admit() -> list[str]:
    """Do what decides who comes in, and leave to `apply` what takes long: packing homes, and Airflow.

    Raises:
        Refused: with all that did not work.
    """
    done, troubles = [], []
    for step in steps.needed(described.load(), facts.gather()):
        trouble = _try(step.first or step.do)
        troubles += trouble
        if not trouble and step.first is None:
            done.append(step.what)
    if troubles:
        _say(done)
        raise Refused("; ".join(troubles))
    return done


def apply() -> list[str]:
    """Do it. One who cannot be helped keeps nobody else waiting: their trouble is told at the end.

    Raises:
        Refused: with all that did not work.
    """
    done: list[str] = []

    def airflow() -> None:
        done.extend(f"Airflow: {line}" for line in _airflow("apply"))

    troubles = []
    for step in steps.needed(described.load(), facts.gather()):
        trouble = _try(step.do)
        if trouble:
            troubles += trouble
        else:
            done.append(step.what)
    troubles += _try(airflow)
    if troubles:
        _say(done)
        raise Refused("; ".join(troubles))
    return done


def remove(name: str) -> dict[str, Any]:
    """Somebody leaves, now: nobody waits for another call to be shut out. What follows takes its turn, and shuts out
    once more, should that other call have let them in again. Returns how long it took until the last process was gone.

    Raises:
        Refused: something is left to do; whatever could be done is done.
    """
    start = time.monotonic()
    # A full disk, say, keeps it from being written; what ends access needs no room.
    troubles = _try(partial(described.forget, name))
    try:
        found = facts.gather()
    except TROUBLE as problem:
        raise Refused("; ".join([*troubles, *_end_by_account(name), _told(problem)])) from None
    known = {one: line.uid for one, line in found.ledger.items()} | found.people
    if name not in known:
        if troubles:
            raise Refused("; ".join(troubles))
        return {"name": name, "was_there": False, "seconds": 0.0, "archive": ""}
    before = set(leaving.ARCHIVE.glob(f"{name}-*.tar"))
    troubles += _try(partial(leaving.shut_out, name), partial(leaving.end, name, known[name]))
    seconds = time.monotonic() - start

    def follow() -> None:
        with alone(REMOVAL_WAIT):
            troubles.extend(_try(partial(_airflow, "apply"), partial(leaving.leave, name, known[name])))

    troubles += _try(follow)
    if troubles:
        raise Refused("; ".join(dict.fromkeys(troubles)))
    new = sorted(set(leaving.ARCHIVE.glob(f"{name}-*.tar")) - before)
    return {"name": name, "was_there": True, "seconds": seconds, "archive": str(new[0]) if new else ""}


def _end_by_account(name: str) -> list[str]:
    """Shut somebody out by what /etc alone knows of them: a disk of the homes that is damaged, or does not answer,
    keeps nobody in. Returns what did not work.
    """
    account = facts.accounts().get(name)
    if account is None or account.uid not in ledger.UIDS or account.home != str(ledger.HOMES / name):
        return []
    troubles = _try(partial(leaving.shut_out, name), partial(leaving.end, name, account.uid))
    return troubles or [f"{name} is out, and the rest waits for this"]


def show() -> list[dict[str, Any]]:
    """Everybody whom the machine knows, and what is true of them."""
    found, wanted, day = facts.gather(), described.load(), described.today()
    return [
        {
            "name": name,
            "uid": found.accounts[name].uid if name in found.accounts else line.uid,
            "account": name in found.people,
            "groups": sorted(found.groups_of(name)),
            "keys": sorted(set(keys.blobs(found.keys.get(name, "")))),
            "out": name not in wanted.people or wanted.people[name].is_out(day),
            "sessions": line.uid in found.busy,
            "left": line.left,
        }
        for name, line in ledger.read().items()
    ]


def _airflow(verb: str) -> list[str]:
    """Let Airflow have the same people."""
    if not AIRFLOW.exists():
        return []
    done = subprocess.run([str(AIRFLOW), verb], capture_output=True, text=True)
    if done.returncode == NOT_NOW:
        return []
    if done.returncode:
        raise Refused(f"Airflow's accounts: {done.stderr.strip()}")
    return done.stdout.splitlines()


def _try(*actions: Callable[[], object]) -> list[str]:
    """Take each of them, whatever became of those before. Returns what did not work."""
    troubles = []
    for action in actions:
        try:
            action()
        except TROUBLE as problem:
            troubles.append(_told(problem))
    return troubles


def _told(problem: BaseException) -> str:
    if isinstance(problem, subprocess.CalledProcessError):
        said = (problem.stderr or "").strip()
        return f"{' '.join(map(str, problem.cmd))} ended with {problem.returncode}: {said}"
    return str(problem)


def _say(lines: Sequence[str]) -> None:
    for line in lines:
        print(line)


@contextlib.contextmanager
def alone(seconds: float = WAIT) -> Iterator[None]:
    """One change at a time; the kernel lets go however we end."""
    with LOCK.open("a") as file:
        until = time.monotonic() + seconds
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Refused("another call is at work; wait for it") from None
                time.sleep(0.1)
        yield
