"""Programs that lead somewhere, such as SSH's proxy commands."""

import contextlib
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from hangar.process import COMPLAINT, contents, start
from hangar.process.ending import signal_group

LEAVE_PATIENCE = 3.0
"""Seconds that a program gets to end by itself once nobody is connected to it."""


class Connection(NamedTuple):
    """A program's standard input and output, as one socket, and what it has said on standard error."""

    socket: socket.socket
    said: Callable[[], str]


@contextlib.contextmanager
def connected(argv: Sequence[str]) -> Iterator[Connection]:
    """Starts a program that leads somewhere (a proxy command). It ends with the block, or when we are killed."""
    ours, theirs = socket.socketpair()
    with ours, tempfile.TemporaryFile() as errors:
        with theirs:
            process = start(
                argv, stdin=theirs.fileno(), stdout=theirs.fileno(), stderr=errors, written=COMPLAINT
            )
        try:
            yield Connection(ours, lambda: contents(errors))
        finally:
            ours.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LEAVE_PATIENCE)
            signal_group(process, signal.SIGKILL)
            process.wait()
