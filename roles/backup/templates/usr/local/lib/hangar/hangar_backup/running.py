# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Other programs: started with no more than they need, their failure told in a sentence."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from .described import WORK, Refused

FULL = ("No space left", "Disk quota", "could not extend file")


class Failed(Refused):
    """A program ended badly; `said` is all that it wrote."""

    def __init__(self, sentence: str, said: str) -> None:
        super().__init__(sentence)
        self.said = said


class TookTooLong(Refused):
    """A program was ended because its time was over."""


def run(
    argv: Sequence[str | Path],
    what: str,
    *,
    source: IO[bytes] | None = None,
    sink: IO[bytes] | None = None,
    text: str | None = None,
    user: str | os.stat_result = "root",
    timeout: float | None = None,
    fine: tuple[int, ...] = (0,),
) -> str:
    """Run a program to its end, as `user`; `source` and `sink` are its standard input and output, `text` its input.

    `fine` are the statuses that are no failure.

    Returns:
        What it printed, unless there is a sink.

    Raises:
        Failed: it ended badly: "WHAT failed: the end of what it said".
        TookTooLong: it did not end in `timeout` seconds.
        Refused: it could not be started.
    """
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words, input=None if text is None else text.encode(),
            stdin=(source or subprocess.DEVNULL) if text is None else None,
            stdout=sink or subprocess.PIPE, stderr=subprocess.PIPE, timeout=timeout, cwd="/", check=False,
            **account(user),
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise TookTooLong(f"{what} took longer than {timeout:g} seconds") from None
    except OSError as error:
        raise Refused(f"{what} failed: {error}") from None
    if done.returncode not in fine:
        said = done.stderr.decode(errors="replace")
        raise Failed(failure(what, said), said)
    return (done.stdout or b"").decode(errors="replace")


def failure(what: str, said: str) -> str:
    """The sentence for a program that failed; a full disk is named as such."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    if any(mark in said for mark in FULL):
        return f"{what} failed: the disk is full ({lines[-1]})"
    return f"{what} failed: {'; '.join(lines[-3:]) or 'it gave no reason'}"


def account(user: str | os.stat_result) -> dict[str, Any]:
    """How a process becomes a system account, or the owner of a file, with nothing of root's environment."""
    environment = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LC_ALL": "C.UTF-8",
    }
    if user == "root":
        return {"env": {**environment, "HOME": "/root"}, "umask": 0o077}
    if isinstance(user, str):
        found = pwd.getpwnam(user)
        numbers = (found.pw_uid, found.pw_gid)
    else:
        numbers = (user.st_uid, user.st_gid)
    return {
        "user": numbers[0], "group": numbers[1], "extra_groups": [], "umask": 0o077,
        "env": {**environment, "HOME": "/nonexistent", "PGCONNECT_TIMEOUT": "10"},
    }  # fmt: skip


def make_work(work: Path = WORK) -> None:
    """An empty folder that others may pass: the scratch database's account has its own below. What is copied is
    root's alone.
    """
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    work.chmod(0o711)


def sync(path: Path) -> None:
    """The file's content is on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
