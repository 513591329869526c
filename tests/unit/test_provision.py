"""The door: what it says to Pythons that are too old."""

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.fixture
def door(tmp_path: Path) -> Path:
    """The door of a house where the command line says what it finds."""
    package = tmp_path / "clone/hangar"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "bootstrap.py").write_text("def enter(argv):\n    global started\n    started = argv\n")
    (package / "cli.py").write_text(
        "import os, sys\n"
        "def main():\n"
        "    first = open(os.devnull)\n"
        "    sys.stderr.write('%s %r %d\\n' % (sys.stdin.isatty(), sys.stdin.read(), first.fileno()))\n"
        "    from hangar import bootstrap\n"
        "    sys.stdout.write('said by %s\\n' % ' '.join(bootstrap.started))\n"
        "    return 0\n"
    )
    return Path(shutil.copy(DOOR, tmp_path / "clone"))


def test_the_door_may_be_a_link_in_a_folder_of_programs(door: Path, tmp_path: Path) -> None:
    link = tmp_path / "bin/hangar"
    link.parent.mkdir()
    link.symlink_to(door)
    done = subprocess.run(
        [sys.executable, link, "up"], stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"said by {door} up\n", "False '' 3\n")


@pytest.mark.parametrize(("closed", "out", "err"), [
    ("<&-", "said by {}\n", "False '' 3\n"), (">&-", "", "False '' 3\n"),
    ("2>&-", "said by {}\n", ""), ("<&- >&- 2>&-", "", ""),
])  # fmt: skip
def test_whoever_closes_a_stream_is_nobody_at_a_terminal(door: Path, closed: str, out: str, err: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" "$1" {closed}', sys.executable, door],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, env=dict(os.environ),
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, out.format(door), err)
