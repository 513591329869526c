"""What `integrity` says of changed files, and what it takes for known; AIDE itself is a program of the test's."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.templates.render import render

PROGRAM = "/usr/local/lib/hangar/integrity"

AIDE = """#!/bin/sh
[ "$1" = --config=/etc/aide/aide.conf ] || exit 99
if [ "$2" = --init ]; then cat "$NOW" > STATE/new.db.gz; exit "${ERROR:-0}"; fi
[ "${ERROR:-0}" = 0 ] || { echo "ERROR: no database"; exit "$ERROR"; }
cmp --quiet "$NOW" STATE/known.db.gz && exit 0
cat << REPORT
Summary:
  Changed entries: 1
f > ... : /usr/bin/sudo
Detailed information about changes:
File: secret
REPORT
exit 4
"""

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the program over a machine whose files are what the file `now` says."""
    for name, text in (
        ("aide", AIDE.replace("STATE", str(tmp_path))),
        ("systemctl", f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n'),
        ("integrity", render("hardening_audit", PROGRAM).replace("/var/lib/hangar/integrity", str(tmp_path))),
    ):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "now").write_text("one")

    def run(word: str, error: int = 0) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{tmp_path}:{os.defpath}", "NOW": str(tmp_path / "now"), "ERROR": str(error)}
        return subprocess.run([tmp_path / "integrity", word], env=env, capture_output=True, text=True)

    return run


def test_files_are_learned_once_then_compared(run: Run) -> None:
    assert run("check").stdout == "The files of the system are known from now on.\n"
    done = run("check")
    assert (done.returncode, done.stdout) == (0, "No file of the system has changed.\n")


def test_a_changed_file_fails_each_time_until_somebody_accepts_it(run: Run, tmp_path: Path) -> None:
    run("check")
    (tmp_path / "now").write_text("two")
    for _ in range(2):
        done = run("check")
        assert done.returncode == 1
        assert ": /usr/bin/sudo\n" in done.stdout
        assert f"sudo {tmp_path}/integrity accept" in done.stdout
        assert "File: secret" not in done.stdout, "the journal gets the paths, root's report the rest"
    assert "File: secret" in (tmp_path / "report").read_text()
    assert run("accept").returncode == 0
    # It would be told as failed until the next comparison.
    assert (tmp_path / "asked").read_text() == "reset-failed hangar-integrity.service\n"
    assert run("check").returncode == 0


@pytest.mark.parametrize("word", ["check", "accept"])
def test_a_comparison_that_could_not_be_made_is_an_error_and_nothing_is_learned(
    run: Run, tmp_path: Path, word: str
) -> None:
    run("check")
    (tmp_path / "now").write_text("two")
    assert run(word, error=17).returncode == 17
    assert (tmp_path / "known.db.gz").read_text() == "one"
    assert not (tmp_path / "asked").exists()


def test_another_word_changes_nothing_and_says_which_there_are(run: Run, tmp_path: Path) -> None:
    done = run("learn")
    assert done.returncode == 64
    assert done.stderr.startswith("usage: integrity check:")
    assert not (tmp_path / "known.db.gz").exists()
