"""The cloud half of `up production` as a process of its own, and the end of it by kill -9 at a call of its."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from hangar import paths
from tests.gcp.conftest import Environment

REPO = Path(__file__).resolve().parents[2]
PATIENCE = 60.0
HOLD = 12.0
"""Seconds that the stand-in holds a call back, for the blow to fall."""


def start(*overrides: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.gcp.cloud_half", str(paths.REPO), *overrides], cwd=REPO
    )


def kill(environment: Environment, kind: str, *overrides: str, method: str = "*", nth: int = 1) -> None:
    """`up` is killed at its nth call of a method, before that is done (`delay-before`) or after (`delay-after`)."""
    fault = environment.google.fault(method, kind, nth=nth, seconds=HOLD)
    process = start(*overrides)
    until = time.monotonic() + PATIENCE
    while not environment.google.fired(fault) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was through before the blow fell"
    assert environment.google.fired(fault) == 1
    environment.google.clear_faults()
