"""What a job's process does before anything else: it bounds itself, and dies with the service."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1  # linux/prctl.h


def bound_memory(data_bytes: int) -> None:
    """The kernel refuses private memory beyond this, for each process; no core dumps, they would hold secrets."""
    resource.setrlimit(resource.RLIMIT_DATA, (data_bytes, data_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def die_with_parent() -> None:
    """Kill this process when the service dies, and its group (the connector) with it.

    The order was one line of standard input, which the service keeps open for as long as it lives: it ends
    however the service ends. The kernel's own signal comes on top, for a moment in which no thread of ours runs.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_watch, daemon=True).start()


def _watch() -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    os.killpg(0, signal.SIGKILL)
