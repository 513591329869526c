"""Memory of a tree of processes, shared pages counted once (PSS), read from /proc."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import docker

SAMPLE_SECONDS = 0.25


def peak_of_tree(argv: Sequence[str], cwd: Path) -> tuple[float, int]:
    """Run a command; return its seconds and the highest memory in bytes that it and its children held at once."""
    start = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            argv, cwd=cwd, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, sum(pss(pid) for pid in family(process.pid)))
            time.sleep(SAMPLE_SECONDS)  # the sampling interval, not a wait for anything
        if process.returncode != 0:
            output.seek(0)
            sys.exit(f"{' '.join(argv)} ended with {process.returncode}\n{output.read()[-4000:]!r}")
    return time.monotonic() - start, peak


def family(root: int) -> list[int]:
    """A process and all its descendants."""
    found = [root]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in children.read_text().split()]
            except OSError:  # it ended between the two looks
                continue
    return found


def pss(pid: int) -> int:
    """Proportional set size of a process in bytes; 0 when it has just ended."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:  # it ended between the two looks
        return 0
    return 0


def machine_memory(environment: str) -> int:
    """Bytes in use by every process of the environment's machine."""
    (machine,) = docker.from_env().containers.list(filters={"label": f"hangar.environment={environment}"})
    return sum(pss(pid) for pid in family(machine.attrs["State"]["Pid"]))
