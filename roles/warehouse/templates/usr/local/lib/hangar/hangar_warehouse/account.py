# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""The account that the server runs as: nobody logs in to it, and its number owns the data on a disk that moves."""

import grp
import pwd
import subprocess
from pathlib import Path

from .described import HOME, OWNER, Described, Refused

SHADOW = Path("/etc/shadow")
SYSUSERS = "/etc/sysusers.d/hangar-warehouse.conf"
SHELL = "/usr/sbin/nologin"


def conflicts(described: Described) -> list[str]:
    """What stands in the way of the pinned number, in words."""
    found = []
    for what, entries in (
        ("account", [(one.pw_name, one.pw_uid) for one in pwd.getpwall()]),
        ("group", [(one.gr_name, one.gr_gid) for one in grp.getgrall()]),
    ):
        found += [
            f"the {what} {name} has the number {number}, but {OWNER} is to have {described.uid}"
            for name, number in entries
            if (name == OWNER) != (number == described.uid)
        ]
    return found


def look(described: Described) -> list[str]:
    """What is wrong with the account. Raises Refused where its number is taken."""
    if found := conflicts(described):
        raise Refused(
            f"{'; '.join(found)}. Choose another number (warehouse_uid), or remove that account by hand."
        )
    try:
        entry = pwd.getpwnam(OWNER)
    except KeyError:
        return ["is missing"]
    wrong = []
    if (entry.pw_dir, entry.pw_shell) != (str(HOME / "home"), SHELL):
        wrong.append("has another home or shell")
    if entry.pw_gid != described.uid:
        wrong.append("has another group")
    if any(OWNER in group.gr_mem for group in grp.getgrall()):
        wrong.append("is in further groups")
    if not _locked(SHADOW.read_text()):
        wrong.append("has a password")
    return wrong


def _locked(shadow: str) -> bool:
    fields = [line.split(":") for line in shadow.splitlines()]
    return all(entry[1].startswith(("!", "*")) for entry in fields if entry[0] == OWNER)


def ensure(described: Described) -> None:
    """Make the account, or put it right."""
    wrong = look(described)
    if not wrong:
        return
    subprocess.run(["systemd-sysusers", SYSUSERS], check=True)
    if wrong != ["is missing"]:
        argv = [
            "usermod",
            "--home",
            str(HOME / "home"),
            "--shell",
            SHELL,
            "--gid",
            OWNER,
            "--groups",
            "",
            "--lock",
        ]
        subprocess.run([*argv, OWNER], check=True)
