"""The data folder fills up: jobs fail with that reason, nothing is forgotten or doubled, and room cures all of it."""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.places import destination
from tests.postgres import duckdb
from tests.server import Server

pytestmark = pytest.mark.long
COUNTED = "SELECT count(*), count(DISTINCT id) FROM items"
MEGABYTES = 12


class Disk:
    """The whole data folder on a file system of a few megabytes."""

    def __init__(self, data: Path) -> None:
        self._data, self._filler = data, data / "filler"

    def fill(self, leave: int = 0) -> None:
        """To the last byte, or with so many left."""
        self._filler.write_bytes(bytes(max(shutil.disk_usage(self._data).free - leave, 0)))
        if not leave:
            # root may take what is kept back for it
            subprocess.run(
                ["dd", "if=/dev/zero", f"of={self._filler}", "bs=4k", "oflag=append", "conv=notrunc"],
                capture_output=True, check=False,
            )  # fmt: skip
            assert shutil.disk_usage(self._data).free == 0

    def empty(self) -> None:
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """Below the folder that `make_server` takes."""
    data = tmp_path / "data"
    data.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", data], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system can be mounted here: {mounted.stderr.decode().strip()}")
    yield Disk(data)
    subprocess.run(["umount", "-l", data], check=False)


def whole(server: Server) -> None:
    """The history can be read to its last page. Ends the service."""
    server.kill(signal.SIGTERM)
    with closing(sqlite3.connect(server.data / "state.sqlite")) as history:
        assert history.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert history.execute("PRAGMA foreign_key_check").fetchall() == []


@pytest.mark.parametrize("kind", ["duckdb", "parquet", "postgres"])
def test_a_sync_that_finds_no_room_fails_and_the_next_one_goes_on_where_the_last_good_one_ended(
    disk: Disk, make_server: Callable[..., Server], kind: str
) -> None:
    server = make_server()
    with destination(server, kind) as (place, ask):
        source = server.source(rows=20)
        connection = server.connection(source, place, "incremental_append")
        assert server.run(connection)["rowsSynced"] == 20
        server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": 60_000}})
        disk.fill(leave=256 * 1024)
        failed = server.run(connection)
        assert failed["status"] == "failed"
        assert "space" in failed["failureReason"].lower(), failed
        assert ask(COUNTED) == [(20, 20)]
        disk.empty()
        again = server.run(connection)
        assert (again["status"], again["rowsSynced"]) == ("succeeded", 59_980)
        assert "items: incremental from 20\n" in server.joblog(again["jobId"])
        assert ask(COUNTED) == [(60_000, 60_000)]
        told = [(job["status"], job.get("failureReason")) for job in server.get("/jobs")["data"]]
        assert told == [("succeeded", None), ("failed", failed["failureReason"]), ("succeeded", None)]
        whole(server)


@pytest.mark.parametrize("killed", [None, signal.SIGTERM, signal.SIGKILL])
def test_a_disk_without_any_room_costs_neither_the_job_that_runs_nor_its_history(
    disk: Disk, make_server: Callable[..., Server], killed: signal.Signals | None
) -> None:
    server = make_server()
    connection = server.connection(server.source("slow", rows=60), server.destination(), "incremental_append")
    job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
    server.wait_rows(job)
    disk.fill()
    said = f"the end of job {job} cannot be written, trying again: database or disk is full"
    deadline = time.monotonic() + 180
    while said not in server.output():
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.1)
    # what cannot be kept is refused as something that passes, and what is known can be asked
    assert server.http.get("/health").status_code == 200
    assert server.get(f"/jobs/{job}")["status"] == "running"
    toy = {"sourceType": "toy", "behaviour": "plain"}
    for path, body, why in (
        ("/workspaces", {"name": "no room" * 30}, "The service's state cannot be written: database or disk is full."),
        ("/sources", {"name": "x", "workspaceId": server.workspace, "configuration": toy},
         "The service has no room on its disk: No space left on device."),
    ):  # fmt: skip
        answer = server.ask("POST", path, json=body)
        assert (answer.status_code, answer.json()["title"]) == (503, "service-unavailable")
        assert answer.json()["detail"] == why
    begun = time.monotonic()
    answer = server.ask("DELETE", f"/jobs/{job}")
    assert answer.status_code == 503
    assert answer.json()["detail"] == "Nothing of the job runs any more, but its end cannot be written yet."
    if killed:
        server.kill(killed)
    assert time.monotonic() - begun < 20, "Docker would kill it after half a minute"
    disk.empty()
    if killed:
        server.start()
    ended = server.wait(job)
    assert ended["status"] in (["succeeded"] if killed else ["succeeded", "failed"]), ended
    assert server.run(connection)["status"] == "succeeded"
    assert duckdb(server.data / "local/toy.duckdb", COUNTED) == [(60, 60)]
    assert server.make("/workspaces", name="room again")["name"] == "room again"
    whole(server)


def test_a_service_that_cannot_start_for_want_of_room_says_so_and_starts_when_there_is_some(
    disk: Disk, make_server: Callable[..., Server]
) -> None:
    server = make_server()
    server.kill(signal.SIGTERM)  # SQLite's own files beside the state go with it, and want room again
    disk.fill()
    with pytest.raises(AssertionError, match=r"The service did not start: .*(full|disk|space)"):
        server.start()
    disk.empty()
    server.start()
    assert server.get("/workspaces")["data"] != []
    whole(server)
