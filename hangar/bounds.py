"""What is taken in from programs and web servers that others rule: so much, for so long, and from nobody else.

The roles' programs and the agents have it as `hangar_bounds` on the machine, so it needs nothing but Python's standard
library.
"""

import contextlib
import functools
import http.client
import os
import resource
import select
import selectors
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any

SAID, COMPLAINED = 64 << 20, 64 << 10
"""Bytes of what is said that are taken in, and of what a program complains of, its last. Service users and other hosts
choose how much that is, and the memory is root's.
"""

LEFT = 256 << 20
"""Bytes that stay free on a disk where a program writes what it says: a full one stops the databases too."""


class Unbounded(OSError):
    """Somebody says more than is taken in, or takes longer than is waited; in words that follow their name. Whoever
    lives with one that does not answer lives with this one.
    Of a program the `complaint` up to then is kept, and where it took too long also what it `said`.
    """

    said = ""
    complaint = ""


class TooMuch(Unbounded):
    """It was more than is taken in."""


class TooLong(Unbounded, TimeoutError):
    """It was not at its end in time."""


def run(
    argv: Sequence[str | Path],
    *,
    seconds: float | None,
    text: str = "",
    source: IO[bytes] | None = None,
    sink: IO[bytes] | None = None,
    most: int | None = None,
    written: int | None = None,
    memory: int | None = None,
    **how: Any,
) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end; `source` and `sink` are its standard input and output, `text` its input, `how` is for
    `Popen`. Of its complaints the end is kept. `most` are the bytes that it may say, else `SAID`, and into a file what
    leaves `LEFT` free; `written` those of any other file that it writes, `memory` those that it may take.

    Raises:
        TooMuch, TooLong: it was ended.
        OSError: it could not be started.
    """
    words = [str(word) for word in argv]
    if most is None:
        most = _room(sink) if sink else SAID
    until = None if seconds is None else time.monotonic() + seconds
    process = subprocess.Popen(
        words, stdin=source or (subprocess.PIPE if text else subprocess.DEVNULL), stdout=sink or subprocess.PIPE,
        stderr=subprocess.PIPE, preexec_fn=_limited(most if sink else written, memory),
        process_group=0, **how,
    )  # fmt: skip
    said, complaint = bytearray(), bytearray()
    with process:
        try:
            _converse(process, text.encode(), until, most, said, complaint)
        except subprocess.TimeoutExpired:
            _end(process)
            late = TooLong(f"took longer than {seconds:g} seconds")
            late.said, late.complaint = _words(said), _words(complaint)
            raise late from None
        except TooMuch as much:
            _end(process)
            much.complaint = _words(complaint)
            raise
        except BaseException:
            _end(process)
            raise
    if sink and process.returncode != 0 and os.fstat(sink.fileno()).st_size >= most:
        raise TooMuch(_too_much(most))
    return subprocess.CompletedProcess(words, process.returncode, _words(said), _words(complaint))


def _words(said: bytearray) -> str:
    return said.decode(errors="replace")


def _end(process: "subprocess.Popen[bytes]") -> None:
    """With what it started, and also where its user has stopped it."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _room(sink: IO[bytes]) -> int:
    found = os.fstatvfs(sink.fileno())
    return max(0, found.f_bavail * found.f_frsize - LEFT)


def _limited(written: int | None, memory: int | None) -> Callable[[], None] | None:
    """What the kernel is told of the program, before it is one: it writes past us into a file."""
    wanted = {resource.RLIMIT_FSIZE: written, resource.RLIMIT_AS: memory}
    limits = {what: (most, most) for what, most in wanted.items() if most is not None}
    if not limits:
        return None

    def limit() -> None:
        for what, most in limits.items():
            resource.setrlimit(what, most)

    return limit


def _converse(
    process: "subprocess.Popen[bytes]",
    given: bytes,
    until: float | None,
    most: int,
    said: bytearray,
    complaint: bytearray,
) -> None:
    """Give a program its input, and take in what it says and the end of what it complains of until it has ended."""
    left = memoryview(given)
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
                    key.fileobj.close()  # type: ignore[union-attr]  # a pipe, never a number
            if len(said) > most:
                raise TooMuch(_too_much(most))
            del complaint[:-COMPLAINED]
    process.wait(_left(until))


def _left(until: float | None) -> float | None:
    return None if until is None else max(0.0, until - time.monotonic())


def _give(sink: IO[bytes], left: memoryview) -> memoryview:
    """What is still to be given; nothing to a program that has had enough."""
    try:
        return left[os.write(sink.fileno(), left[: select.PIPE_BUF]) :]
    except BrokenPipeError:
        return left[:0]


def _too_much(most: int) -> str:
    return f"says more than {most >> 20} MiB"


class _Stay(urllib.request.HTTPRedirectHandler):
    """A service does not choose whom root asks in its stead, nor who gets what was meant for it."""

    def redirect_request(self, *_: Any) -> None:
        return None


@functools.cache
def web() -> urllib.request.OpenerDirector:
    """What opens an address and no other: no proxy of the environment has a part in it, and no redirection.

    One for all of a program's questions: from Python 3.12 on, each reads the system's certificates (6 ms).
    """
    return urllib.request.build_opener(urllib.request.ProxyHandler({}), _Stay())


def whole(answer: Any, seconds: float, most: int | None = None) -> bytes:
    """All of a web server's answer, from here on within so many seconds: what an opener is told is for each piece.

    Raises:
        TooMuch, TooLong: it is not read on.
        IncompleteRead: it broke off.
    """
    said, until = bytearray(), time.monotonic() + seconds
    most = SAID if most is None else most
    with contextlib.closing(answer):
        while piece := answer.read1(65536):
            said += piece
            if len(said) > most:
                raise TooMuch(_too_much(most))
            if time.monotonic() > until:
                raise TooLong(f"took longer than {seconds:g} seconds")
        if missing := getattr(answer, "length", None):
            raise http.client.IncompleteRead(bytes(said), missing)
    return bytes(said)


def excuse(error: urllib.error.HTTPError, seconds: float) -> str:
    """As much of an answer that says no as is taken in."""
    try:
        return whole(error, seconds).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return str(error.reason)
