"""Programs that go on by themselves."""

import os
import signal
from pathlib import Path

from hangar.process import unattended


def test_what_runs_in_the_background_outlives_us(tmp_path: Path) -> None:
    pid = unattended.background(["sleep", "60"], log=tmp_path / "log")
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
