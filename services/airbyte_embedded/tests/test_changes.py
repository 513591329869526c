"""What somebody changes about a connection between two syncs: no row is lost or doubled by it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.places import Ask, destination
from tests.postgres import BIN, PASSWORD, Postgres
from tests.server import WORKER, Server
from tests.told import OWN, Told
from tests.toy import COLUMNS, keyless, stream

pytestmark = pytest.mark.long


@pytest.fixture(params=["duckdb", "parquet", "postgres"])
def place(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[tuple[str, Ask]]:
    with destination(server, request.param, tmp_path.name) as made:
        yield made


@pytest.fixture
def source(server: Server, tmp_path: Path) -> Told:
    return Told(server, tmp_path)


def sync(server: Server, connection: str) -> None:
    job = server.run(connection)
    assert job["status"] == "succeeded", job


def set_mode(server: Server, connection: str, mode: str) -> None:
    streams = [{"name": "items", "syncMode": mode, **OWN}]
    answer = server.ask("PATCH", f"/connections/{connection}", json={"configurations": {"streams": streams}})
    assert answer.status_code == 200, answer.text


def ids(ask: Ask, table: str = "items") -> list[int]:
    return [number for (number,) in ask(f"SELECT id FROM {table} ORDER BY id")]


def test_a_prefix_that_changes_leads_to_tables_with_every_row_and_back_without_one_twice(
    server: Server, source: Told, place: tuple[str, Ask]
) -> None:
    to, ask = place
    source.has(1, 2)
    streams = [{"name": "items", "syncMode": "incremental_append", **OWN}]
    connection = server.connection(source.id, to, streams=streams)
    sync(server, connection)
    for prefix, there in (("new_", [1, 2, 3]), ("", [1, 2, 3])):
        source.has(1, 2, 3)
        server.ask("PATCH", f"/connections/{connection}", json={"prefix": prefix})
        sync(server, connection)
        assert ids(ask, f"{prefix}items") == there


def test_a_table_that_somebody_dropped_comes_back_whole(server: Server, source: Told, tmp_path: Path) -> None:
    with destination(server, "postgres") as (to, ask):
        source.has(1, 2)
        streams = [{"name": "items", "syncMode": "incremental_append", **OWN}]
        connection = server.connection(source.id, to, streams=streams)
        sync(server, connection)
        ask("DROP TABLE items")
        source.offers([keyless(stream("items"))], items=['{"id": "no number"}'])
        assert server.run(connection)["status"] == "failed"  # and leaves an empty table
        source.has(1, 2, 3)
        for _ in range(2):
            sync(server, connection)
            assert ids(ask) == [1, 2, 3]


def test_copies_of_the_source_that_become_incremental_are_not_appended_to_each_other(
    server: Server, source: Told, place: tuple[str, Ask]
) -> None:
    to, ask = place
    source.has(1, 2)
    connection = server.connection(source.id, to)
    sync(server, connection)
    set_mode(server, connection, "incremental_append")
    for there in ([1, 2, 3], [1, 2, 3, 4]):
        source.has(*there)
        sync(server, connection)
        assert ids(ask) == there


@pytest.mark.parametrize("more", [[], [4]], ids=["nothing new", "a new row"])
def test_what_was_appended_twice_is_there_once_when_a_stream_is_deduplicated(
    server: Server, source: Told, place: tuple[str, Ask], more: list[int]
) -> None:
    to, ask = place
    source.has(1, 2, 3, 2)
    streams = [{"name": "items", "syncMode": "incremental_append", **OWN}]
    connection = server.connection(source.id, to, streams=streams)
    sync(server, connection)
    assert ids(ask) == [1, 2, 2, 3]
    set_mode(server, connection, "incremental_deduped_history")
    source.has(1, 2, 3, 2, *more)
    sync(server, connection)
    assert ids(ask) == [1, 2, 3, *more]


@pytest.mark.parametrize("kind", ["duckdb", "postgres"])
@pytest.mark.parametrize("mode", ["incremental_append", "incremental_deduped_history"])
def test_whole_numbers_that_get_fractions_are_not_rounded(
    server: Server, source: Told, tmp_path: Path, kind: str, mode: str
) -> None:
    def has(amounts: list[float], number: str) -> None:
        columns = {**COLUMNS, "amount": {"type": ["null", number]}}
        rows = [{"id": place, "amount": amount} for place, amount in enumerate(amounts)]
        source.offers([keyless(stream("items", columns))], items=rows)

    with destination(server, kind, tmp_path.name) as (to, ask):
        has([1], "integer")
        streams = [{"name": "items", "syncMode": mode, **OWN}]
        connection = server.connection(source.id, to, streams=streams)
        sync(server, connection)
        has([1, 7.6], "number")
        job = server.run(connection)
        assert job["status"] == "failed"
        assert "the column amount of items is bigint, and of the source it is" in job["failureReason"].lower()
        assert ids(ask) == [0]
        for following in ("full_refresh_overwrite", mode):  # as the message says
            set_mode(server, connection, following)
            sync(server, connection)
        assert ask("SELECT CAST(amount AS text) FROM items ORDER BY id") == [
            ("1.000000000",),
            ("7.600000000",),
        ]


def test_a_view_outlives_a_column_that_the_source_has_lost(server: Server, source: Told) -> None:
    with destination(server, "postgres") as (to, ask):
        source.has(1, 2)
        connection = server.connection(source.id, to)
        sync(server, connection)
        ask("CREATE VIEW seen AS SELECT id, code FROM items")
        columns = {name: kind for name, kind in COLUMNS.items() if name != "code"}
        source.offers([keyless(stream("items", columns))], items=[{"id": 3}])
        sync(server, connection)
        assert ask("SELECT * FROM seen") == [(3, None)]


def test_a_stream_that_is_gone_fails_the_job_in_words_and_its_table_stays(
    server: Server, source: Told, tmp_path: Path
) -> None:
    with destination(server, "duckdb", tmp_path.name) as (to, ask):
        source.has(1, 2)
        connection = server.connection(source.id, to)
        sync(server, connection)
        source.offers([keyless(stream("things"))], things=[])
        job = server.run(connection)
        assert job["status"] == "failed"
        assert job["failureReason"].startswith(
            "source-toy has no stream items any more: take it out of the conn"
        )
        assert ids(ask) == [1, 2]


def test_of_two_streams_with_one_name_the_named_one_is_moved(
    server: Server, source: Told, tmp_path: Path
) -> None:
    own = {"kept": {"type": ["null", "string"]}}
    spaces = [
        keyless(stream("items", {**COLUMNS, **columns})) | {"namespace": space}
        for space, columns in (("shop", own), ("old", {}))
    ]
    source.offers(spaces, items=[{"id": 1, "kept": "yes"}])
    with destination(server, "duckdb", tmp_path.name) as (to, ask):
        body = {"sourceId": source.id, "destinationId": to}
        refused = server.ask("POST", "/connections", json=body)
        assert "items: the source has it in the namespaces shop, old: name one" in refused.json()["detail"]
        streams = [{"name": "items", "namespace": "shop"}]
        sync(server, server.connection(source.id, to, streams=streams))
        assert ask("SELECT id, kept FROM items") == [(1, "yes")]


@pytest.mark.parametrize("mode", ["full_refresh_overwrite", "incremental_deduped_history"])
def test_two_that_write_one_table_at_once_leave_each_row_once(
    server: Server, source: Told, mode: str
) -> None:
    if BIN is None:
        pytest.skip("Postgres is not installed here: apt-get install postgresql")
    database = Postgres().start()
    try:
        source.has(1, 2, 3)
        to = server.destination("postgres", **database.config())
        streams = [{"name": "items", "syncMode": mode, **OWN}]
        connection = server.connection(source.id, to, streams=streams)
        sync(server, connection)
        with other_writer(database) as let_go:
            source.has(1, 2, 3, 1)  # something new, for the mode that would write nothing otherwise
            job = server.make("/jobs", connectionId=connection, jobType="sync")["jobId"]
            deadline = time.monotonic() + 180
            waits = "application_name = 'airbyte-embedded' AND wait_event_type = 'Lock'"
            while not database.query(f"SELECT 1 FROM pg_stat_activity WHERE {waits}"):
                assert time.monotonic() < deadline, server.joblog(job)
                time.sleep(0.1)
            let_go()
        assert server.wait(job)["status"] == "succeeded"
        found = [number for (number,) in database.query("SELECT id FROM items ORDER BY id")]
        assert found == ([1, 1, 2, 3] if mode == "full_refresh_overwrite" else [1, 2, 3])
    finally:
        database.close()


@contextmanager
def other_writer(database: Postgres) -> Iterator[Callable[[], None]]:
    """Somebody who has replaced the table's rows, and not committed yet: until it is called."""
    replaced = "CREATE TEMP TABLE kept AS SELECT * FROM items; DELETE FROM items; INSERT INTO items SELECT * FROM kept"
    script = (
        f"import psycopg2\nc = psycopg2.connect(host='127.0.0.1', port={database.port}, dbname='postgres',"
        f" user='loader', password={PASSWORD!r})\nc.cursor().execute({replaced!r})\nprint('ready', flush=True)\n"
        "input()\nc.commit()"
    )
    with subprocess.Popen(
        [WORKER, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin
        assert child.stdout
        assert child.stdout.readline() == "ready\n"

        def let_go() -> None:
            child.communicate("\n", 60)

        yield let_go
