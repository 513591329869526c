"""The door: what it says to Pythons that are too old."""

import ast
import subprocess
import sys

from hangar.paths import REPO

DOOR = REPO / "provision.py"


def test_an_old_python_is_told_kindly() -> None:
    code = (
        "import sys, runpy; sys.version_info = (3, 9, 2, 'final', 0); sys.argv = ['provision.py', 'up']\n"
        f"runpy.run_path({str(DOOR)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith(f"Hangar needs Python 3.11 or newer; {sys.executable} is 3.9.\n")
    assert "uv run --no-project --python 3.13 ./provision.py up\n" in done.stderr


def test_an_old_python_can_read_the_door() -> None:
    ast.parse(DOOR.read_text(), feature_version=(3, 4))


def test_the_door_can_be_called() -> None:
    assert DOOR.stat().st_mode & 0o111
    assert DOOR.read_text().startswith("#!/usr/bin/env python3\n")
