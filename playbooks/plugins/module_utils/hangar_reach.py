"""What lets the operator in besides files: the network's kernel parameters, and the account that logs in.

Shared by the journal of `apply_tree` and by the machine's interlock program, so
it needs nothing but Python's standard library and Debian's `usermod`.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import subprocess
from datetime import date, timedelta
from typing import Any

NETWORK = "/proc/sys/net"
SHADOW = "/etc/shadow"
PEOPLE = range(20_000, 30_000)  # numbers of people, whom nothing ever lets in again (role people)
FORWARDING = ("forwarding", "ip_forward")  # with these the kernel sets others anew


def network(root: str | None = None) -> dict[str, str]:
    """Return what the kernel's network is set to: each parameter that can be read and written, secrets apart."""
    found = {}
    for folder, _, names in os.walk(root or NETWORK):
        for name in names:
            path = os.path.join(folder, name)
            # An interface may go at this moment; some refuse to be read while they are unset.
            with contextlib.suppress(OSError, UnicodeDecodeError):
                # What others may not read (0600) is the kernel's own secret.
                if os.lstat(path).st_mode & 0o644 == 0o644:
                    with open(path, encoding="utf-8") as stream:
                        found[path] = stream.read().strip()
    return found


def restore_network(before: dict[str, str], root: str | None = None) -> list[str]:
    """Set what differs back to what it was; return the problems."""
    said: dict[str, str] = {}
    for _ in range(2):  # what the first round sets anew by itself comes right in the second
        for path in sorted(
            differing(before, root), key=lambda path: os.path.basename(path) not in FORWARDING
        ):
            try:
                with open(path, "w", encoding="utf-8") as stream:
                    stream.write(f"{before[path]}\n")
            except OSError as error:
                said[path] = str(error)
    return [
        f"{path}: is not {before[path]} again{': ' + said[path] if path in said else ''}"
        for path in differing(before, root)
    ]


def differing(before: dict[str, str], root: str | None = None) -> list[str]:
    """Return the parameters that are not what they were; one that has gone with its interface is none of them."""
    now = network(root)
    return [path for path, value in before.items() if now.get(path, value) != value]


def account(name: str, shadow: str | None = None) -> dict[str, Any] | None:
    """Return what lets this account in; None for a person's, and where there is no such account."""
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    if entry.pw_uid in PEOPLE:
        return None
    password, expires = _shadow(name, shadow or SHADOW)
    groups = sorted(group.gr_name for group in grp.getgrall() if name in group.gr_mem)
    return {
        "shell": entry.pw_shell, "groups": groups, "locked": password.startswith("!"), "expires": expires,
    }  # fmt: skip


def _shadow(name: str, path: str) -> tuple[str, str]:
    """Return the field of the password and the day on which the account ends."""
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            fields = line.rstrip("\n").split(":")
            if fields[0] == name and len(fields) > 7:
                return fields[1], fields[7]
    return "", ""


def restore_account(name: str, before: dict[str, Any], shadow: str | None = None) -> list[str]:
    """Give the account back what it has lost; what it has gained stays. Return the problems."""
    now = account(name, shadow)
    if now is None:
        return [f"the account {name} is gone; it is not made anew"]
    wanted: list[str] = []
    existing = {group.gr_name for group in grp.getgrall()}
    if lost := sorted(set(before["groups"]) & existing - set(now["groups"])):
        wanted += ["--append", "--groups", ",".join(lost)]
    if before["shell"] != now["shell"]:
        wanted += ["--shell", before["shell"]]
    if before["expires"] != now["expires"]:
        wanted += ["--expiredate", _day(before["expires"])]
    if now["locked"] and not before["locked"]:
        wanted += ["--unlock"]
    if not wanted:
        return []
    done = subprocess.run(["usermod", *wanted, name], check=False, capture_output=True, text=True, timeout=60)
    said = done.stderr.strip() or done.stdout.strip()
    return [f"the account {name}: usermod: exit {done.returncode}: {said}"] if done.returncode else []


def _day(days: str) -> str:
    """Return the day as `usermod` takes it; nothing means never."""
    return (date(1970, 1, 1) + timedelta(days=int(days))).isoformat() if days else ""
