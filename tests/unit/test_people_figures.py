"""The figures of people's ways (`bench/people.py`), taken with a checkout and an ssh that are played."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.people import NAME, people_figures

PROVISION = """#!/bin/sh
echo "$*" >> {log}
case "$1 $2" in
"people remove") echo '{gone}' ;;
"ssh-config here") mkdir -p "$HOME/.ssh/config.d"; echo "$HOME" > {log}.home ;;
"people add") exit {added} ;;
esac
"""
SSH = """#!/bin/sh
echo "ssh $*" | tr '\\n' ' ' >> {log}; echo >> {log}
case "$*" in *nohup*) echo began ;; esac
"""


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tools").mkdir()
    write(tmp_path / "tools/ssh", SSH.format(log=tmp_path / "log"))
    monkeypatch.setenv("PATH", str(tmp_path / "tools"), prepend=":")
    return tmp_path / "log"


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def checkout(log: Path, *, added: int = 0, proven: bool = True) -> Path:
    gone = json.dumps({"seconds": 0.4, "proven": proven})
    write(log.parent / "provision.py", PROVISION.format(log=log, gone=gone, added=added))
    return log.parent


def test_somebody_comes_works_leaves_and_the_rest_is_measured(log: Path) -> None:
    rows = people_figures(checkout(log), "here")
    assert [(row.budget, row.unit) for row in rows] == [(10, "s"), (5, "s"), (0.15, "s"), (6, "s")]
    assert rows[1].value == 0.4
    said = log.read_text().splitlines()
    assert said[0].startswith(f"people add {NAME} here --role developer --key ")
    assert "nohup" in said[1]
    assert said[2] == f"people remove {NAME} here --yes --json"
    assert [line.split()[-1] for line in said if line.startswith("ssh ")][-2:] == [
        "true",
        "hangar-here",
    ]
    assert said[-1] == "doctor here"
    own = Path((log.parent / "log.home").read_text().strip())
    assert own != Path.home()
    assert not own.exists()


def test_the_visitor_leaves_whatever_happens(log: Path) -> None:
    with pytest.raises(SystemExit, match=r"people add bench-visitor here .* ended with 7"):
        people_figures(checkout(log, added=7), "here")
    assert log.read_text().splitlines()[-1] == f"people remove {NAME} here --yes --json"


def test_somebody_who_may_still_come_in_is_no_figure(log: Path) -> None:
    with pytest.raises(SystemExit, match="no login attempt showed that bench-visitor is out of here"):
        people_figures(checkout(log, proven=False), "here")
