# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A disk that a backup or a restore fills stops the databases too: whoever is at work is ended before."""

import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

from .described import HOME, Refused

LEAST = 128 * 2**20
"""Bytes that stay free. How much a dump is when it is loaded, nobody knows before."""

LOOK_EVERY = 0.2
"""Seconds between two looks: a fast disk takes less than `LEAST` in them."""


@contextmanager
def left(place: Path = HOME) -> Iterator[None]:
    """While it lasts the disk of `place` is looked at.

    Raises:
        Refused: into what is at work, once, when there is less than `LEAST`.
    """

    def look(number: int, frame: FrameType | None) -> None:
        free = shutil.disk_usage(place).free
        # A program that is just being started would be nobody's to end; the next look ends it.
        if free < LEAST and not _starts_a_program(frame):
            _end(free)

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_EVERY, LOOK_EVERY)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _starts_a_program(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is subprocess.Popen.__init__.__code__:
            return True
        frame = frame.f_back
    return False


def _end(free: int) -> NoReturn:
    signal.setitimer(signal.ITIMER_REAL, 0)  # what is tidied away now needs no second one
    raise Refused(f"the disk is nearly full: ended when {free >> 20} MiB were left")
