"""How slow the computer is at this moment. A test that holds something to a time lets a slow computer, or a busy one,
take as much more; what is within its budget by itself says `make bench`.
"""

from __future__ import annotations

import time

STEPS = 2_000_000
REFERENCE = 0.12
"""Seconds that the steps take on a quiet core of the machine on which the tests' times were set."""


def allowed(seconds: float) -> float:
    """As many seconds as this computer needs for what takes ``seconds`` on the one that the times are from."""
    return seconds * max(1.0, min(_walk() for _ in range(3)) / REFERENCE)


def _walk() -> float:
    began, total = time.perf_counter(), 0
    for step in range(STEPS):
        total += step
    return time.perf_counter() - began
