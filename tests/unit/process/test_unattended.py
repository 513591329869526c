"""Programs that go on by themselves."""

import os
import signal
from pathlib import Path

import pytest

from hangar.process import unattended


def test_what_runs_in_the_background_outlives_us(tmp_path: Path) -> None:
    pid = unattended.background(["sleep", "60"], log=tmp_path / "log")
    assert os.getsid(pid) == pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_a_herald_is_heard_once_and_goes_on(tmp_path: Path) -> None:
    said = unattended.heralded(["sh", "-c", "echo $$; exec sleep 600"], log=tmp_path / "log", timeout=10)
    os.kill(int(said), signal.SIGKILL)
    os.waitpid(int(said), 0)


@pytest.mark.parametrize(("script", "seconds"), [("echo 'no way' >&2", 10.0), ("exec sleep 600", 0.1)])
def test_a_herald_that_says_nothing_is_told_apart(tmp_path: Path, script: str, seconds: float) -> None:
    """By an end without a word, or by none in time."""
    pidfile = tmp_path / "pid"
    argv = ["sh", "-c", f"echo $$ > {pidfile}; {script}"]
    assert unattended.heralded(argv, log=tmp_path / "log", timeout=seconds) == ""
    if script.startswith("exec"):
        pid = int(pidfile.read_text())
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    else:
        assert (tmp_path / "log").read_text() == "no way\n"
