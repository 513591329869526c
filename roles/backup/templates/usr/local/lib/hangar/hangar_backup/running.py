# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Other programs: started with no more than they need, their failure told in a sentence."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import hangar_bounds
from hangar_bounds import TooLong, TooMuch
from hangar_words import clean

from .described import WORK, Refused

SHOWN = 300
"""Letters of a line of theirs in a sentence of ours."""

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
    most: int | None = None,
    memory: int | None = None,
    fine: tuple[int, ...] = (0,),
) -> str:
    """Run a program to its end, as `user`; `source` and `sink` are its standard input and output, `text` its input.
    `most` are the bytes that it may say (else as `hangar_bounds.run` has it), `memory` those that it may take.

    `fine` are the statuses that are no failure.

    Returns:
        What it printed, unless there is a sink.

    Raises:
        Failed: it ended badly: "WHAT failed: the end of what it said".
        TookTooLong: it did not end in `timeout` seconds.
        Refused: it could not be started, or says more than can be taken in.
    """
    try:
        done = hangar_bounds.run(
            argv, seconds=timeout, text=text or "", source=source, sink=sink, most=most, memory=memory, cwd="/",
            **account(user),
        )  # fmt: skip
    except TooLong as problem:
        raise TookTooLong(f"{what} {problem}") from None
    except TooMuch as problem:
        raise Refused(f"{what} failed: it {problem}") from None
    except OSError as error:
        raise Refused(f"{what} failed: {error}") from None
    if done.returncode not in fine:
        raise Failed(failure(what, done.stderr), done.stderr)
    return done.stdout


def failure(what: str, said: str) -> str:
    """The sentence for a program that failed; a full disk is named as such."""
    if any(mark in said for mark in FULL):
        return f"{what} failed: the disk is full ({last_words(said, 1)})"
    return f"{what} failed: {last_words(said) or 'it gave no reason'}"


def last_words(said: str, lines: int = 3) -> str:
    """The last lines of what a program complained of, as they may stand in a sentence and on a terminal."""
    found = [words for line in said.splitlines() if (words := clean(line).strip())]
    return "; ".join(words[:SHOWN] for words in found[-lines:])


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
        # Whoever owns a database looks for nothing in a schema that is not named: others make schemas there.
        "env": {
            **environment, "HOME": "/nonexistent", "PGCONNECT_TIMEOUT": "10", "PGOPTIONS": "-c search_path=",
        },
    }  # fmt: skip


def wipe(folder: str | Path) -> None:
    """All of it goes, as far as it can, also what lies deeper than a path is long: services make folders as they like,
    and Python's own way does not come to their end.
    """
    argv = ["rm", "--recursive", "--force", "--one-file-system", "--", str(folder)]
    subprocess.run(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def make_work(work: Path = WORK) -> None:
    """An empty folder that others may pass: the scratch database's account has its own below. What is copied is
    root's alone.
    """
    wipe(work)
    work.mkdir()
    work.chmod(0o711)


def sync(path: Path) -> None:
    """The file's content is on the disk when this returns."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
