"""What must not stop the engine from executing jobs: one bad schedule, one look that fails."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server import Server

GONE = "0 0 3 * * ? Europe/Atlantis"


def lose_zone(server: Server, connection: str) -> None:
    """The connection's schedule names a time zone that a later list of zones has no more, and it is due."""
    with sqlite3.connect(server.data / "state.sqlite") as state:
        (body,) = state.execute("SELECT body FROM connections WHERE id = ?", (connection,)).fetchone()
        changed = json.loads(body) | {"schedule": {"scheduleType": "cron", "cronExpression": GONE}}
        state.execute(
            "UPDATE connections SET body = ?, next_run = 1 WHERE id = ?", (json.dumps(changed), connection)
        )


def begins(server: Server, connection: str) -> bool:
    """Whether a job of the connection is taken up within 20 s. It need not succeed."""
    job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
    deadline = time.monotonic() + 20
    while server.get(f"/jobs/{job}")["status"] == "pending":
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    server.ask("DELETE", f"/jobs/{job}")
    return True


def test_a_schedule_that_cannot_be_read_any_more_keeps_no_other_connection_from_running(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    source, destination = server.source(), server.destination()
    lost, well = (server.connection(source, destination, name=name) for name in ("lost", "well"))
    server.kill()
    lose_zone(server, lost)
    server.start()
    assert begins(server, well)
    assert begins(server, lost), "by hand it runs as ever"
    answer = server.get(f"/connections/{lost}")
    assert answer["statusReason"].startswith(f"The cronExpression {GONE!r} cannot be used: ")
    assert "statusReason" not in server.get(f"/connections/{well}")
    assert server.output().count("Europe/Atlantis") < 5, "it is not asked without end"
    mended = {"schedule": {"scheduleType": "cron", "cronExpression": "0 0 3 * * ? Europe/Berlin"}}
    assert server.ask("PATCH", f"/connections/{lost}", json=mended).is_success
    assert "statusReason" not in server.get(f"/connections/{lost}")


def next_run(server: Server, connection: str) -> float:
    with sqlite3.connect(server.data / "state.sqlite") as state:
        (found,) = state.execute("SELECT next_run FROM connections WHERE id = ?", (connection,)).fetchone()
    return float(found)


def test_a_clock_that_stood_ahead_for_a_while_keeps_no_connection_from_running(
    make_server: Callable[..., Server],
) -> None:
    """A laptop's day was set to next year and back; a sync ran in between, and reckoned the next one from there."""
    server = make_server()
    source, destination = server.source(), server.destination()
    often = {"scheduleType": "cron", "cronExpression": "*/2 * * * * ?"}
    leap = {"scheduleType": "cron", "cronExpression": "0 0 0 29 FEB ?"}
    ahead = server.connection(source, destination, name="ahead", schedule=often)
    rare = server.connection(source, destination, name="rare", schedule=leap)
    due = next_run(server, rare)
    server.kill()
    with sqlite3.connect(server.data / "state.sqlite") as state:
        state.execute("DELETE FROM jobs")
        state.execute("UPDATE connections SET next_run = ? WHERE id = ?", (time.time() + 365 * 86400, ahead))
    server.start()
    deadline = time.monotonic() + 20
    while not server.get("/jobs", connectionId=ahead)["data"]:
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.2)
    assert "runs earlier" in server.output()
    assert next_run(server, rare) == due, "one that is rightly far off stays"
    assert not server.get("/jobs", connectionId=rare)["data"]


def test_old_logs_that_cannot_be_removed_keep_no_job_from_running(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("--log-days", "0")
    connection = server.connection(server.source(), server.destination())
    server.kill()
    odd: Path = server.data / "logs/jobs/1/attempt-1.log"
    odd.mkdir(parents=True)  # a folder where a file was: as good as a disk that refuses
    server.start()
    assert begins(server, connection)
    assert "old logs cannot be removed" in server.output()


def test_a_job_whose_connector_is_still_being_installed_can_be_cancelled_and_holds_no_stop_up(
    make_server: Callable[..., Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after an upgrade that brought another version of the connector, on a slow network."""
    installer = tmp_path / "bin/uv"
    installer.parent.mkdir()
    installer.write_text(f"#!/bin/sh\necho $$ >> {tmp_path}/installing\nexec sleep 600\n")
    installer.chmod(0o755)
    monkeypatch.setenv("PATH", f"{installer.parent}:{os.environ['PATH']}")
    server = make_server()
    connection = server.connection(server.source(), server.destination())
    server.kill(signal.SIGTERM)
    (server.registry / "toy.lock").write_text("")
    (server.registry / "registry.json").write_text('{"toy": {"lock": "toy.lock", "executable": "toy"}}')
    server.start()

    def installing(count: int) -> int:
        """A job is taken up, and the installer has been started so many times."""
        job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
        deadline = time.monotonic() + 60
        while not (marks := tmp_path / "installing").exists() or len(marks.read_text().split()) < count:
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.1)
        return int(job)

    job = installing(1)
    assert server.ask("DELETE", f"/jobs/{job}", timeout=60).json()["status"] == "cancelled"
    (first,) = (tmp_path / "installing").read_text().split()
    assert not Path(f"/proc/{first}").exists(), "nothing of it goes on"
    job = installing(2)
    server.kill(signal.SIGTERM)  # within 30 s
    with sqlite3.connect(server.data / "state.sqlite") as state:
        assert state.execute("SELECT status FROM jobs WHERE id = ?", (job,)).fetchone() == ("incomplete",)
