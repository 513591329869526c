"""How a program comes to its end: by itself, by us, or with us."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable

PATIENCE = 10.0
"""Seconds that an interrupted program gets to end by itself."""


def end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupts a program, and after `PATIENCE` ever more firmly; what it started and left goes with it."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            signal_group(process, signum)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
    signal_group(process, signal.SIGKILL)


def end_if_running(process: "subprocess.Popen[bytes]") -> None:
    """Ends a program as `end` does; one that has ended keeps what it left behind."""
    if process.poll() is None:
        end(process)


def signal_group(process: "subprocess.Popen[bytes]", signum: signal.Signals) -> None:
    """To the whole group, which may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signum)


def with_parent() -> Callable[[], None] | None:
    """A hook for a child of ours: the kernel sends it SIGTERM when we are gone (Linux only)."""
    if not sys.platform.startswith("linux"):
        return None
    parent = os.getpid()
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    set_parent_death_signal = 1

    def hook() -> None:
        prctl(set_parent_death_signal, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return hook


def limited(written: int | None) -> Callable[[], None] | None:
    """A hook for a child of ours: the kernel ends it where it writes more than so many bytes into a file."""
    if written is None:
        return None
    import resource  # Windows has none, where the modules for it import this one

    limit = (written, written)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def at_its_start(*hooks: Callable[[], None] | None) -> Callable[[], None] | None:
    """All of these hooks as one; None where there are none, since each costs a slower start."""
    wanted = [hook for hook in hooks if hook]

    def all_of_them() -> None:
        for hook in wanted:
            hook()

    return all_of_them if wanted else None
