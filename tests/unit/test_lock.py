import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hangar import lock, paths
from hangar.errors import LockHeld

HOLD = """
import sys, pathlib
from hangar import lock, paths
paths.REPO = pathlib.Path(sys.argv[1])
with lock.held("local", "provision.py up local"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(repo: Path) -> "subprocess.Popen[str]":
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(repo)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout
    assert holder.stdout.readline() == "held\n"
    return holder


def test_the_second_is_told_who_is_at_work(repo: Path) -> None:
    holder = hold(repo)
    try:
        with pytest.raises(LockHeld) as refused, lock.held("local", "provision.py destroy local"):
            pass
    finally:
        holder.communicate("")
    assert f"`provision.py up local` (process {holder.pid}) has been at work since" in refused.value.brief
    assert refused.value.resolution == f"Wait for it, or stop it: kill {holder.pid}"


def test_a_killed_holder_holds_nothing(repo: Path) -> None:
    holder = hold(repo)
    holder.send_signal(signal.SIGKILL)
    holder.communicate()
    with lock.held("local", "provision.py up local"):
        assert json.loads(paths.lock_file("local").read_text())["pid"] == os.getpid()


def test_another_environment_is_free(repo: Path) -> None:
    with lock.held("local", "a"), lock.held("sandbox", "b"):
        pass


def test_a_lock_file_that_destroy_removed_locks_nobody_out(repo: Path) -> None:
    with lock.held("local", "provision.py destroy local"):
        paths.lock_file("local").unlink()
        with lock.held("local", "provision.py up local"):
            assert "up local" in paths.lock_file("local").read_text()


def test_the_state_folder_is_the_owners_only(repo: Path) -> None:
    with lock.held("local", "up"):
        assert paths.state_dir("local").stat().st_mode & 0o777 == 0o700
