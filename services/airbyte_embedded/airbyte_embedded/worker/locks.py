"""Locks between job processes, held by the kernel for as long as the process lives.

The service allows one job a connection; the lock says so even to a process that outlived its service.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import sys
import time
from pathlib import Path

BEAT = 0.2  # seconds between two tries


class Busy(Exception):
    """Another process holds the lock and did not let go in time."""


def hold(folder: Path, name: str, seconds: float) -> int:
    """Take the lock, for the life of this process or until the descriptor is closed. Raises Busy after `seconds`."""
    path = folder / hashlib.sha256(name.encode()).hexdigest()[:32]
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + seconds
    waited = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            if time.monotonic() > deadline:
                os.close(descriptor)
                raise Busy(f"Another job did not let go of {name} within {seconds:g} seconds.") from None
            if not waited:
                sys.stderr.write(f"waiting for {name}\n")
                waited = True
            time.sleep(BEAT)
