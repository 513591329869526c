# Written by Hangar (role people). Changes made here are lost at the next run.
"""Making accounts, and putting right what somebody changed by hand."""

import os
import shutil
import subprocess
from pathlib import Path

from . import ledger
from .described import EPOCH, Person

SKELETON = Path("/etc/skel")
SHELL = "/bin/bash"
NO_PASSWORD = "*"
"""Matches nothing; and unlike "!" it does not mean locked, which some programs take for gone."""


def make_group(name: str) -> None:
    run("groupadd", "--system", name)


def make(person: Person, uid: int) -> None:
    """Make the account. The ledger comes first: whatever is interrupted here goes on under the same number."""
    ledger.note(person.name, uid)
    run("groupadd", "--gid", str(uid), person.name, may_exist=True)
    # Sub-ids are for containers of services; /etc/subuid has another owner.
    run(
        "useradd", "--uid", str(uid), "--gid", str(uid), "--no-create-home",
        "--home-dir", str(ledger.HOMES / person.name), "--shell", SHELL, "--password", NO_PASSWORD,
        "--expiredate", expiry(person),
        "--key", "SUB_UID_COUNT=0", "--key", "SUB_GID_COUNT=0", person.name,
    )  # fmt: skip


def set_groups(person: Person) -> None:
    run("usermod", "--groups", ",".join(person.groups), person.name)


def repair(person: Person, uid: int) -> None:
    """Bring home, shell, password, group and day to what they should be."""
    run(
        "usermod", "--gid", str(uid), "--home", str(ledger.HOMES / person.name), "--shell", SHELL,
        "--password", NO_PASSWORD, "--expiredate", expiry(person), person.name,
    )  # fmt: skip


def expiry(person: Person) -> str:
    return str(person.expires) if person.expires else ""


def expiry_days(person: Person) -> int | None:
    """The same as shadow keeps it."""
    return (person.expires - EPOCH).days if person.expires else None


def make_home(name: str, uid: int) -> None:
    """Make a home from the machine's skeleton, under its name only when it is whole."""
    home = ledger.HOMES / name
    new = ledger.HOMES / f".new-{name}"
    shutil.rmtree(new, ignore_errors=True)  # a killed call's
    shutil.copytree(SKELETON, new, symlinks=True)
    for path in [new, *new.rglob("*")]:
        os.chown(path, uid, uid, follow_symlinks=False)
    new.chmod(0o700)
    new.rename(home)


def own_home(name: str, uid: int) -> None:
    """Give a home back to whom it belongs (the folder itself; what is in it has its owner still)."""
    os.chown(ledger.HOMES / name, uid, uid, follow_symlinks=False)


def leave_group(name: str, group: str) -> None:
    run("gpasswd", "--delete", name, group)


def run(*argv: str, may_exist: bool = False) -> None:
    """Run a tool of Debian's; 9 is its way to say that the name is there already.

    Raises:
        CalledProcessError: it did not work.
    """
    done = subprocess.run(argv, capture_output=True, text=True)
    if done.returncode and not (may_exist and done.returncode == 9):
        raise subprocess.CalledProcessError(done.returncode, argv, done.stdout, done.stderr)
