"""Jobs that are cancelled, killed, starved or left hanging: how they end, and that no row is lost or doubled."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from airbyte_embedded import processes
from airbyte_embedded.settings import Settings

from tests.places import destination
from tests.postgres import Postgres, duckdb, needs_postgres, parquet, query
from tests.server import Server

pytestmark = pytest.mark.long


def running(server: Server, job: int) -> list[int]:
    """The processes of a job."""
    settings = Settings(server.data.resolve(), server.clients)
    return processes.members(settings.mark(f"job/{job}"))


def started(
    server: Server, behaviour: str, mode: str = "full_refresh_append", **config: object
) -> tuple[str, int]:
    """A connection whose job is in the middle of its rows."""
    connection = server.connection(server.source(behaviour, **config), server.destination(), mode)
    job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
    server.wait_rows(job)
    return connection, job


def change(path: Path, sql: str) -> None:
    """In a DuckDB file, while the service does not run."""
    query(f"import duckdb\nduckdb.connect({str(path)!r}).execute({sql!r})\nrows = []")


def rows(server: Server) -> int:
    return int(duckdb(server.data / "local/toy.duckdb", "SELECT count(*) FROM items")[0][0])


def test_a_cancelled_job_is_gone_within_seconds_even_where_the_connector_hides(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    connection, job = started(server, "hides", rows=10)
    assert len(running(server, job)) >= 3  # the job, the connector, and its child in a session of its own
    begun = time.monotonic()
    assert server.ask("DELETE", f"/jobs/{job}").json()["status"] == "cancelled"
    assert time.monotonic() - begun < 6
    assert running(server, job) == []
    assert server.get(f"/jobs/{job}")["failureReason"] == "It was cancelled."
    assert list((server.data / "work").iterdir()) == []
    # and again: nothing changes
    assert server.ask("DELETE", f"/jobs/{job}").json()["status"] == "cancelled"
    assert server.ask("DELETE", f"/connections/{connection}").status_code == 204


def test_one_job_a_connection_and_so_many_at_once(make_server: Callable[..., Server]) -> None:
    server = make_server("--jobs-at-once", "1", "--jobs-waiting", "2")
    first, job = started(server, "slow", rows=10_000)
    answer = server.ask("POST", "/jobs", json={"connectionId": first, "jobType": "sync"})
    assert answer.status_code == 409
    assert answer.json()["detail"] == "A job of this connection is not finished yet."
    assert answer.json()["title"] == "try-again-later"
    waiting = [server.connection(server.source(), server.destination()) for _ in range(3)]
    queued = [server.make("/jobs", connectionId=waiting[number], jobType="sync") for number in range(2)]
    assert [entry["status"] for entry in queued] == ["pending", "pending"]
    answer = server.ask("POST", "/jobs", json={"connectionId": waiting[2], "jobType": "sync"})
    assert (answer.status_code, answer.json()["detail"]) == (503, "2 jobs are waiting already.")
    assert server.ask("DELETE", f"/jobs/{queued[0]['jobId']}").json()["status"] == "cancelled"
    server.ask("DELETE", f"/jobs/{job}")
    assert server.wait(queued[1]["jobId"])["status"] == "succeeded"


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_outlives_the_service_and_no_row_is_lost_or_doubled(
    make_server: Callable[..., Server], number: signal.Signals
) -> None:
    server = make_server()
    _, job = started(server, "slow", rows=100)
    processes_before = running(server, job)
    server.kill(number)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in processes_before):
        assert time.monotonic() < deadline, "the job's processes outlived the service"
        time.sleep(0.05)
    server.start()
    ended = server.wait(job)
    assert (ended["status"], ended["rowsSynced"]) == ("succeeded", 100)
    assert rows(server) == 100
    assert "attempt 2: sync" in server.joblog(job)


def test_what_an_interrupted_job_had_committed_is_not_written_again(
    make_server: Callable[..., Server],
) -> None:
    """Two groups of streams: the first is committed, then the service is killed while the second is read."""
    server = make_server()
    streams = [
        {"name": "items", "syncMode": "full_refresh_append"},
        {"name": "more", "syncMode": "incremental_append"},
    ]
    connection = server.connection(server.source("slow", rows=60), server.destination(), streams=streams)
    job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
    server.wait_rows(job, least=61)
    server.kill(signal.SIGKILL)
    server.start()
    ended = server.wait(job)
    assert (ended["status"], ended["rowsSynced"]) == ("succeeded", 120)
    assert rows(server) == 60
    assert "items: full_refresh" not in (server.data / f"logs/jobs/{job}/attempt-2.log").read_text()


def test_a_job_that_is_interrupted_again_and_again_fails_in_the_end(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("--attempts", "1")
    connection, job = started(server, "slow", rows=100)
    server.kill(signal.SIGKILL)
    server.start()
    ended = server.wait(job)
    assert ended["status"] == "failed"
    assert ended["failureReason"] == "The service stopped while it ran. It was started 1 times."
    assert server.run(connection)["status"] == "succeeded"  # and a retry cures it
    assert rows(server) == 100


def test_a_finished_job_is_neither_lost_nor_repeated_by_a_restart(make_server: Callable[..., Server]) -> None:
    server = make_server()
    connection = server.connection(server.source(), server.destination(), "full_refresh_append")
    job = server.run(connection)
    server.kill(signal.SIGKILL)
    server.start()
    assert server.get(f"/jobs/{job['jobId']}") == job
    assert rows(server) == 10
    assert len(server.get("/jobs")["data"]) == 1


@pytest.mark.parametrize(
    ("kind", "ledger"), [("duckdb", "new"), ("parquet", "new"), ("postgres", "of an earlier version")]
)
def test_a_service_restored_to_an_earlier_day_takes_no_old_job_for_its_new_one(
    make_server: Callable[..., Server], kind: str, ledger: str
) -> None:
    """state.sqlite is of yesterday, the destination of today: numbers of jobs come again, and every sync is read."""
    server = make_server()
    with destination(server, kind) as (place, ask):
        source = server.source(rows=5)
        connection = server.connection(source, place, "incremental_append")
        server.kill(signal.SIGTERM)
        shutil.copy(server.data / "state.sqlite", server.folder / "of-yesterday")
        server.start()
        assert server.run(connection)["rowsSynced"] == 5
        server.kill(signal.SIGTERM)
        shutil.copy(server.folder / "of-yesterday", server.data / "state.sqlite")
        if ledger != "new":
            forget = "ALTER TABLE _airbyte_embedded_state DROP COLUMN job_key"
            files = (
                server.data / "local" / ("toy.duckdb" if kind == "duckdb" else "toy/_airbyte_embedded.duckdb")
            )
            ask(forget) if kind == "postgres" else change(files, forget)
        server.start()
        server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": 8}})
        job = server.run(connection)
        assert (job["jobId"], job["status"], job["rowsSynced"]) == (1, "succeeded", 3)
        assert "items: incremental from 5" in server.joblog(1)  # and where it goes on is kept
        assert ask("SELECT count(*), count(DISTINCT id) FROM items") == [(8, 8)]


def test_an_update_in_the_middle_of_a_job_repeats_nothing(make_server: Callable[..., Server]) -> None:
    """What an earlier version had committed of the same job, by its number alone, still counts."""
    server = make_server()
    streams = [
        {"name": "items", "syncMode": "full_refresh_append"},
        {"name": "more", "syncMode": "incremental_append"},
    ]
    connection = server.connection(server.source("slow", rows=40), server.destination(), streams=streams)
    job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
    server.wait_rows(job, least=41)
    server.kill(signal.SIGKILL)
    change(server.data / "local/toy.duckdb", "ALTER TABLE _airbyte_embedded_state DROP COLUMN job_key")
    server.start()
    ended = server.wait(job)
    assert (ended["status"], ended["rowsSynced"]) == ("succeeded", 80)
    assert rows(server) == 40


def test_a_source_that_hangs_ends_at_the_time_limit(make_server: Callable[..., Server]) -> None:
    server = make_server("--job-seconds", "40")
    connection = server.connection(server.source("hangs"), server.destination())
    job = server.run(connection)
    assert job["status"] == "failed"
    assert job["failureReason"] == "It did not end within its time limit of 40 seconds."
    assert running(server, job["jobId"]) == []


def test_a_source_that_eats_memory_is_stopped_and_the_service_is_not(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("--job-megabytes", "700")
    connection = server.connection(server.source("eats", rows=500), server.destination())
    job = server.run(connection)
    assert job["status"] == "failed"
    assert job["failureReason"].startswith("It used ")
    assert job["failureReason"].endswith(" MB of memory; the limit is 700 MB.")
    assert server.http.get("/health").status_code == 200


def test_a_killed_job_process_is_a_failure_that_says_so(make_server: Callable[..., Server]) -> None:
    server = make_server()
    connection, job = started(server, "slow", rows=100)
    worker = min(running(server, job))
    os.kill(worker, signal.SIGKILL)
    ended = server.wait(job)
    assert ended["failureReason"] == "The job's process ended without a result (SIGKILL)."
    assert running(server, job) == []
    assert server.run(connection)["status"] == "succeeded"
    assert rows(server) == 100


@pytest.mark.parametrize("kind", ["duckdb", "parquet"])
def test_a_sources_token_that_expires_in_the_middle_costs_the_run_and_no_row(
    make_server: Callable[..., Server], kind: str
) -> None:
    """Half of the rows were read with a token that then ran out; with a new one the next run brings all of them."""
    server = make_server()
    source = server.source("expires", rows=60, api_key="a-token-that-ran-out")
    place = {"duckdb": "/local/toy.duckdb", "parquet": "/local/toy"}[kind]
    destination = server.destination(kind, destination_path=place)
    connection = server.connection(source, destination, "incremental_append")
    job = server.run(connection)
    assert job["status"] == "failed"
    # in the connector's own words, and without the token that it repeated
    assert job["failureReason"] == "source-toy: 401 Unauthorized: the token ********** has expired"

    def count() -> int:
        if kind == "duckdb":
            return rows(server)
        return int(parquet(server.data / "local/toy", "SELECT count(*) FROM items")[0][0])

    assert not (server.data / "local/toy/items.parquet").exists()
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"api_key": "a-renewed-token"}})
    ended = server.run(connection)
    assert (ended["status"], ended["rowsSynced"]) == ("succeeded", 60)
    assert count() == 60


def test_parquet_files_that_a_job_could_not_write_are_caught_up_with(
    make_server: Callable[..., Server],
) -> None:
    """Rows and state are committed first: a run that ends between the two must not forget the files for ever."""
    server = make_server()
    folder = server.data / "local/toy"
    destination = server.destination("parquet", destination_path="/local/toy")
    connection = server.connection(server.source(rows=5), destination, "incremental_append")
    (folder / ".items.parquet.new/in the way").mkdir(parents=True)
    job = server.run(connection)
    assert job["status"] == "failed"
    assert "directory" in job["failureReason"].lower(), job
    assert not (folder / "items.parquet").exists()
    shutil.rmtree(folder / ".items.parquet.new")
    again = server.run(connection)
    assert (again["status"], again["rowsSynced"]) == ("succeeded", 0), "nothing new was to be read"
    assert parquet(folder, "SELECT count(*), count(DISTINCT id) FROM items") == [(5, 5)]
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


@needs_postgres
def test_a_database_that_refuses_says_why_in_the_jobs_failure(make_server: Callable[..., Server]) -> None:
    """The whole of Postgres's sentence, not only where it was asked."""
    server, database = make_server(), Postgres().start()
    try:
        database.query("CREATE ROLE other SUPERUSER LOGIN PASSWORD 'other'")
        destination = server.destination("postgres", **database.config())
        connection = server.connection(server.source(), destination)
        at = f'connection to server at "127.0.0.1", port {database.port} failed: '
        for change, undo, reason in (
            ("NOLOGIN", "LOGIN", 'FATAL: role "loader" is not permitted to log in'),
            (
                "PASSWORD 'another'",
                "PASSWORD 'again'",
                'FATAL: password authentication failed for user "loader"',
            ),
        ):
            database.query(f"ALTER ROLE loader {change}", user="other")
            assert server.run(connection)["failureReason"] == at + reason
            database.query(f"ALTER ROLE loader {undo}", user="other")
        database.kill()
        assert server.run(connection)["failureReason"].startswith(at + "Connection refused")
    finally:
        database.close()


@needs_postgres
def test_kills_at_any_moment_of_the_writing_leave_every_row_once(make_server: Callable[..., Server]) -> None:
    """The service is killed while rows are staged, loaded and committed; the last attempt ends in peace."""
    server, database = make_server("--attempts", "9"), Postgres().start()
    try:
        destination = server.destination("postgres", **database.config())
        streams = [{"name": name, "syncMode": "full_refresh_append"} for name in ("items", "more")]
        connection = server.connection(server.source(rows=20_000), destination, streams=streams)
        job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
        for pause in (0.0, 1.0, 2.0, 3.0):
            server.wait_rows(job)
            time.sleep(pause)  # not for readiness: to hit another moment each time
            server.kill(signal.SIGKILL)
            server.start()
        ended = server.wait(job)
        assert (ended["status"], ended["rowsSynced"]) == ("succeeded", 40_000)
        for table in ("items", "more"):
            assert database.query(f"SELECT count(*), count(DISTINCT id) FROM {table}") == [(20_000, 20_000)]
        left = database.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        assert {name for (name,) in left if not name.startswith("_airbyte")} == {"items", "more"}
    finally:
        database.close()


@needs_postgres
def test_a_database_that_dies_in_the_middle_leaves_a_failure_that_a_retry_cures(
    make_server: Callable[..., Server],
) -> None:
    server, database = make_server(), Postgres().start()
    try:
        destination = server.destination("postgres", **database.config())
        source = server.source("slow", rows=60)
        connection = server.connection(source, destination, "incremental_append")
        job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
        server.wait_rows(job)
        database.kill()
        ended = server.wait(job)
        assert ended["status"] == "failed"
        assert "connect" in ended["failureReason"], ended
        database.start()
        assert server.run(connection)["rowsSynced"] == 60
        assert database.query("SELECT count(*), count(DISTINCT id) FROM items") == [(60, 60)]
    finally:
        database.close()
