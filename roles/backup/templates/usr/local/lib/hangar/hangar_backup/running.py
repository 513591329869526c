# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Other programs: started with no more than they need, their failure told in a sentence."""

import os
import pwd
import select
import selectors
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from hangar_words import clean

from .described import WORK, Refused

SAID, COMPLAINED = 64 << 20, 64 << 10
"""Bytes of what a program says that are taken in, and of what it complains of, its last. Service users and other hosts
choose how much that is, and the memory is root's.
"""

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
    fine: tuple[int, ...] = (0,),
) -> str:
    """Run a program to its end, as `user`; `source` and `sink` are its standard input and output, `text` its input.

    `fine` are the statuses that are no failure.

    Returns:
        What it printed, unless there is a sink.

    Raises:
        Failed: it ended badly: "WHAT failed: the end of what it said".
        TookTooLong: it did not end in `timeout` seconds.
        Refused: it could not be started, or says more than can be taken in.
    """
    words = [str(word) for word in argv]
    given = None if text is None else text.encode()
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.PIPE if given is not None else source or subprocess.DEVNULL,
            stdout=sink or subprocess.PIPE, stderr=subprocess.PIPE, cwd="/", **account(user),
        )  # fmt: skip
        with process:
            try:
                until = None if timeout is None else time.monotonic() + timeout
                said, complaint = _converse(process, given or b"", until, what)
            except BaseException:
                process.kill()
                raise
    except subprocess.TimeoutExpired:
        raise TookTooLong(f"{what} took longer than {timeout:g} seconds") from None
    except OSError as error:
        raise Refused(f"{what} failed: {error}") from None
    if process.returncode not in fine:
        raise Failed(failure(what, complaint), complaint)
    return said


def _converse(
    process: "subprocess.Popen[bytes]", given: bytes, until: float | None, what: str
) -> tuple[str, str]:
    """Give a program its input, and take in what it says and the end of what it complains of until it has ended."""
    said, complaint, left = bytearray(), bytearray(), memoryview(given)
    with selectors.DefaultSelector() as ways:
        for way in (process.stdout, process.stderr):
            if way:
                ways.register(way, selectors.EVENT_READ)
        if process.stdin:
            ways.register(process.stdin, selectors.EVENT_WRITE)
        while ways.get_map():
            if _left(until) == 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            for key, _ in ways.select(_left(until)):
                if key.fileobj is process.stdin:
                    left = _give(process.stdin, left)
                    is_done = not left
                else:
                    piece = os.read(key.fd, 65536)
                    kept = said if key.fileobj is process.stdout else complaint
                    kept += piece
                    is_done = not piece
                if is_done:
                    ways.unregister(key.fileobj)
                    key.fileobj.close()
            if len(said) > SAID:
                raise Refused(f"{what} failed: it says more than {SAID >> 20} MiB")
            del complaint[:-COMPLAINED]
    process.wait(_left(until))
    return said.decode(errors="replace"), complaint.decode(errors="replace")


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())


def _give(sink: IO[bytes], left: memoryview) -> memoryview:
    """What is still to be given; nothing to a program that has had enough."""
    try:
        return left[os.write(sink.fileno(), left[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        return left[:0]


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
