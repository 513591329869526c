"""Work of minutes, and how it ends."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from hangar.process import long_work


def test_long_work_goes_to_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("before\n")
    with long_work.stream(["sh", "-c", "echo one; echo two >&2"], log=log) as running:
        pass
    assert running.returncode == 0
    assert log.read_text() == "before\none\ntwo\n"


def test_an_interrupted_block_ends_the_work_and_what_it_started(tmp_path: Path) -> None:
    log = tmp_path / "log"
    script = "sleep 60 & echo $!; wait"
    child = 0

    def interrupted() -> None:
        nonlocal child
        with long_work.stream(["sh", "-c", script], log=log):
            child = _first_number(log)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert _is_gone(child)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's promise is Linux's")
def test_work_ends_when_we_are_killed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    code = (
        "import pathlib, sys, time; from hangar.process import long_work\n"
        "with long_work.stream(['sh', '-c', 'echo $$; exec sleep 60'], log=pathlib.Path(sys.argv[1])): time.sleep(60)"
    )
    controller = subprocess.Popen([sys.executable, "-c", code, str(log)])
    worker = _first_number(log)
    controller.send_signal(signal.SIGKILL)
    controller.wait()
    assert _is_gone(worker)


def _first_number(log: Path) -> int:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if log.exists() and log.read_text().strip():
            return int(log.read_text().split()[0])
        time.sleep(0.01)  # between two looks at the log
    raise AssertionError("the work never began")


def _is_gone(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)  # between two looks at the process
    return False
