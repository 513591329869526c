# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""Daemons that still run what an update has replaced: most start anew at once, the others wait for the window."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

MARK = Path("/run/reboot-required")
"""Debian's own way to say that an update waits for a reboot."""

SEEN = re.compile(r"^NEEDRESTART-(SVC|SESS): (.+)$", re.M)
MANAGER = "systemd-manager"
WAITING = re.compile(r"dbus|systemd-logind|systemd-user$|user@")
"""What takes log-ins, or all that a service user runs, along with it."""

PASSING = re.compile(
    r"(serial-|container-|console-)?getty@|(container|console)-getty|unattended-upgrades\.service$"
)
"""What ends by itself with the next log-in, or does nothing until the machine stops."""


class Failed(Exception):
    """Nobody can say what runs old code, and why."""


def run(users: list[str], say: Callable[[str], None], mark: Path = MARK) -> None:
    """Start anew what may, and let what cannot wait for a reboot.

    Raises:
        Failed: what runs could not be looked over.
    """
    for unit in outdated(users):
        if not WAITING.match(unit) and not unit.startswith("Docker of "):
            say(f"Starting {unit} anew: an update has replaced what it runs.")
            _start_anew(unit, say)
    if left := outdated(users):
        say(f"This still runs what an update has replaced, and waits for a reboot: {', '.join(left)}")
        mark.touch()


def outdated(users: list[str]) -> list[str]:
    """What still runs old code and will go on to: units, and `Docker of NAME` for what a service user runs.

    What people have open is theirs, and ends with their log-out. What is in containers comes with their images.
    """
    try:
        done = subprocess.run(
            ["needrestart", "-b", "-l", "-r", "l"], capture_output=True, text=True, check=False
        )
    except OSError as problem:
        raise Failed(f"nobody looks at what runs old code: {problem}") from None
    if done.returncode != 0:
        raise Failed(f"needrestart ended with {done.returncode}: {done.stderr.strip()[-500:]}")
    found = set()
    for kind, what in SEEN.findall(done.stdout):
        if kind == "SVC" and not PASSING.match(what) and not _ends_by_itself(what):
            found.add(what)
        elif kind == "SESS" and (owner := re.match(r"(\S+) @ user service", what)) and owner[1] in users:
            found.add(f"Docker of {owner[1]}")
    return sorted(found)


def _ends_by_itself(unit: str) -> bool:
    """Whether it is a piece of work that has an end, such as a backup: to start it anew would be to cut it short."""
    done = subprocess.run(
        ["systemctl", "show", "--property=Type", "--value", unit], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() == "oneshot"


def _start_anew(unit: str, say: Callable[[str], None]) -> None:
    argv = ["systemctl", "daemon-reexec"] if unit == MANAGER else ["systemctl", "try-restart", unit]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        say(f"{unit} does not start anew: {done.stderr.strip()[-300:]}")
