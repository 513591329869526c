"""The figures of a machine that lasts (`bench/lasting.py`), taken with a checkout, an engine and an Airflow that are
played.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench import lasting

PROVISION = """#!/bin/sh
echo "$*" >> {log}
case "$1 $2" in
"backup now") if [ {backup} != 0 ]; then echo 'the disk is full' >&2; exit {backup}; fi
    echo '{{"made": "x", "seconds": 2.5, "new": ["secrets", "airflow"]}}' ;;
"tunnel here") [ -e {log}.up ] || {{ touch {log}.up; exit 1; }} ;;
esac
"""


class Engine:
    """Writes down what is restarted, as if it were Docker's client."""

    def __init__(self, log: Path) -> None:
        self.log, self.containers = log, self

    def get(self, name: str) -> Engine:
        with self.log.open("a") as file:
            file.write(f"container {name}\n")
        return self

    def restart(self, timeout: int) -> None:
        with self.log.open("a") as file:
            file.write("restarted\n")


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """What Airflow says of its scheduler, one look after the other; the last goes on."""
    states: list[str] = ["healthy"]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state = states.pop(0) if len(states) > 1 else states[0]
            self.send_response(200 if state else 503)
            self.end_headers()
            parts = {"metadatabase": {"status": "healthy"}, "scheduler": {"status": state}}
            self.wfile.write(json.dumps(parts).encode())

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / ".hangar/here").mkdir(parents=True)
        report = {"airflow": {"address": f"http://127.0.0.1:{server.server_port}"}}
        (tmp_path / ".hangar/here/report.json").write_text(json.dumps(report))
        monkeypatch.setattr("docker.from_env", lambda: Engine(tmp_path / "log"))
        monkeypatch.setattr(lasting, "PAUSE", 0.0)
        yield states
        server.shutdown()


def checkout(place: Path, *, backup: int = 0) -> Path:
    program = place / "provision.py"
    program.write_text(PROVISION.format(log=place / "log", backup=backup))
    program.chmod(0o755)
    return place


def test_two_backups_and_a_restart_are_measured(
    said: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said[:] = ["", "unhealthy", "healthy"]
    rows = lasting.lasting_figures(checkout(tmp_path), "here")
    assert [(row.budget, row.unit) for row in rows] == [(30, "s"), (10, "s"), (45, "s")]
    assert (tmp_path / "log").read_text().splitlines() == [
        *["backup now here --json"] * 2, "container hangar-here", "restarted", *["tunnel here"] * 4,
    ]  # fmt: skip
    assert said == ["healthy"], "each state was looked at"
    assert "2.5 s of them on the machine; new: secrets, airflow" in capsys.readouterr().out


def test_a_backup_that_fails_is_no_figure_and_nothing_restarts(said: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"backup now ended with 1\nthe disk is full"):
        lasting.lasting_figures(checkout(tmp_path, backup=1), "here")
    assert (tmp_path / "log").read_text() == "backup now here --json\n"


def test_an_airflow_that_does_not_come_back_is_no_figure(
    said: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said[:] = ["unhealthy"]
    monkeypatch.setattr(lasting, "LONGEST", 0.2)
    with pytest.raises(SystemExit, match=r"Airflow of here did not come back within 0\.2 s of a restart"):
        lasting.lasting_figures(checkout(tmp_path), "here")
