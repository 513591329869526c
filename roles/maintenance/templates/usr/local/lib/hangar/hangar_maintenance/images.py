# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""The services' images (role docker_host): made anew where they are outdated, then taken by their containers."""

import subprocess
from collections.abc import Callable
from pathlib import Path

HOMES = Path("/srv")
BUILD = "/usr/local/lib/hangar/service-images"
WAIT = "; containers take them in the window, or with the next `up`, `upgrade apply` or start"


LAST = 2000
"""Bytes of what a service's user complains of that are kept, the last: how much it is, is theirs to choose."""


class Failed(Exception):
    """What could not be done for a service, and what it said."""


def build(user: str, say: Callable[[str], None]) -> None:
    """Makes the images anew, where Debian has security updates for what is in them. Containers go on with the old."""
    if (HOMES / user / "state/images-outdated").exists():
        say(f"Making the images of {user} anew.")
        _run(user, BUILD, "build")


def renew(users: list[str], say: Callable[[str], None]) -> None:
    """Looks for fixes and makes the images anew that lack some. Containers go on with the old.

    Raises:
        Failed: an image could not be looked at or made; the others were.
    """
    problems = []
    for user in users:
        try:
            _run(user, BUILD, "updates")
            build(user, say)
        except Failed as problem:
            problems.append(str(problem))
        else:
            say(f"The images of {user} have Debian's fixes{WAIT if are_new(user) else ''}.")
    if problems:
        raise Failed("; ".join(problems))


def are_new(user: str) -> bool:
    """Whether containers wait to be made of another image, or with other settings."""
    return (HOMES / user / "state/stack-changed").exists()


def take(user: str) -> None:
    """Containers of the new images; returns when they are healthy."""
    _run(user, str(HOMES / user / "stack/ensure"))


def _run(user: str, *argv: str) -> None:
    said = b""
    with subprocess.Popen(
        ["as-service", user, *argv],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        while process.stderr and (piece := process.stderr.read1(LAST)):
            said = (said + piece)[-LAST:]
    if process.returncode != 0:
        text = said.decode(errors="replace").strip()
        lines = [
            "".join(letter if letter.isprintable() else " " for letter in line) for line in text.splitlines()
        ]
        last = "; ".join(lines[-3:]) or "it gave no reason"
        raise Failed(f"{argv[0]} of {user} ended with {process.returncode}: {last}")
