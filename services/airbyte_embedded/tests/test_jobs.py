"""Syncs into both destinations: what arrives, what is kept, what a job's end looks like."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.postgres import BIN, Postgres, duckdb, parquet
from tests.server import Server
from tests.toy import LONG

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class Place:
    """A destination and a way to look into it."""

    id: str
    query: Callable[[str], list[tuple[Any, ...]]]

    def count(self, table: str) -> int:
        return int(self.query(f"SELECT count(*) FROM {table}")[0][0])

    def tables(self) -> set[str]:
        """The connection's tables, without the engine's own."""
        found = self.query(
            "SELECT table_name FROM information_schema.tables WHERE table_schema IN ('main', 'public')"
        )
        return {name for (name,) in found if not name.startswith("_airbyte")}


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres | None]:
    if BIN is None:
        yield None
        return
    made = Postgres().start()
    yield made
    made.close()


@pytest.fixture(params=["duckdb", "parquet", "postgres"])
def place(request: pytest.FixtureRequest, server: Server, database: Postgres | None) -> Place:
    """A fresh destination."""
    name = "t" + str(abs(hash(request.node.name)))
    if request.param == "duckdb":
        made = server.destination(destination_path=f"/local/{name}.duckdb")
        path = server.data / f"local/{name}.duckdb"
        return Place(made, lambda sql: duckdb(path, sql))
    if request.param == "parquet":
        made = server.destination("parquet", destination_path=f"/local/{name}")
        return Place(made, lambda sql: parquet(server.data / "local" / name, sql))
    if database is None:
        pytest.skip("Postgres is not installed here: apt-get install postgresql")
    database.query("DROP SCHEMA public CASCADE")
    database.query("CREATE SCHEMA public")
    return Place(server.destination("postgres", **database.config()), database.query)


def test_rows_arrive_as_they_were_sent_and_a_second_full_refresh_replaces_them(
    server: Server, place: Place
) -> None:
    connection = server.connection(server.source(rows=10), place.id)
    for _ in range(2):
        job = server.run(connection)
        assert (job["status"], job["rowsSynced"]) == ("succeeded", 10), job
        assert job["bytesSynced"] > 500
    assert place.count("items") == 10
    assert place.tables() == {"items"}  # and no temporary table is left
    (row,) = place.query('SELECT code, "order" FROM items WHERE id = 7')
    assert row == ("00007", 'a,b\t"c"\\N\nd é')  # leading zeros and every character that COPY would trip over


def test_an_incremental_sync_goes_on_where_the_last_one_ended(server: Server, place: Place) -> None:
    source = server.source(rows=10)
    connection = server.connection(source, place.id, "incremental_append")
    assert server.run(connection)["rowsSynced"] == 10
    second = server.run(connection)
    assert (second["status"], second["rowsSynced"]) == ("succeeded", 0)
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": 13}})
    third = server.run(connection)
    assert third["rowsSynced"] == 3
    assert "items: incremental from 10" in server.joblog(third["jobId"])
    assert place.count("items") == 13
    assert place.query("SELECT count(DISTINCT id) FROM items") == [(13,)]


def test_a_source_that_has_nothing_to_say_is_asked_from_where_it_was(server: Server, place: Place) -> None:
    source = server.source(rows=3)
    connection = server.connection(source, place.id, "incremental_append")
    for behaviour, rows, count in (("plain", 3, 3), ("silent", 3, 3), ("plain", 5, 5)):
        server.ask(
            "PATCH", f"/sources/{source}", json={"configuration": {"behaviour": behaviour, "rows": rows}}
        )
        assert server.run(connection)["status"] == "succeeded"
        assert place.count("items") == count


def test_two_connections_to_one_schema_keep_their_own_state(server: Server, place: Place) -> None:
    source = server.source(rows=5)
    first = server.connection(source, place.id, "incremental_append", prefix="a_")
    second = server.connection(source, place.id, "incremental_append", prefix="b_")
    assert [server.run(first)["rowsSynced"], server.run(second)["rowsSynced"]] == [5, 5]
    assert (place.count("a_items"), place.count("b_items")) == (5, 5)


@pytest.mark.parametrize("keyless", [False, True], ids=["the source's key", "a key of one's own"])
def test_rows_that_repeat_a_key_leave_the_last_one(server: Server, place: Place, keyless: bool) -> None:
    source = server.source("twice", rows=5, keyless=keyless)
    own = {"primaryKey": [["id"]], "cursorField": ["updated_at"]} if keyless else {}
    merged, replaced = (
        server.connection(
            source, place.id, prefix=prefix, streams=[{"name": "items", "syncMode": mode, **own}]
        )
        for prefix, mode in (
            ("m_", "incremental_deduped_history"), ("r_", "full_refresh_overwrite_deduped"),
        )
    )  # fmt: skip
    for connection, table in ((merged, "m_items"), (replaced, "r_items")):
        assert server.run(connection)["rowsSynced"] == 10
        assert place.query(f"SELECT count(*), count(DISTINCT id), min(code) FROM {table}") == [
            (5, 5, "00001")
        ]
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": 8}})
    server.run(merged)
    assert place.query("SELECT count(*), count(DISTINCT id) FROM m_items") == [(8, 8)]


def test_rows_without_a_key_are_merged_and_not_doubled(server: Server, place: Place) -> None:
    source = server.source("unkeyed", rows=6)
    connection = server.connection(source, place.id, "incremental_deduped_history")
    for rows, keyed in ((6, 3), (9, 4)):
        server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": rows}})
        assert server.run(connection)["status"] == "succeeded"
        # of those without a key the last one stays, as of any other
        assert place.query("SELECT count(*), count(id), count(DISTINCT id) FROM items") == [
            (keyed + 1, keyed, keyed)
        ]


def test_values_that_a_database_has_no_room_for_cost_no_row(server: Server, place: Place) -> None:
    """Half a letter, a NUL, a moment with an offset, a truth in a column of texts."""
    connection = server.connection(server.source("strange", rows=1), place.id)
    job = server.run(connection)
    assert (job["status"], job["rowsSynced"]) == ("succeeded", 1), job
    ((code, moment, order, detail),) = place.query(
        'SELECT code, CAST(updated_at AS text), "order", CAST(detail AS text) FROM items'
    )
    assert (code, order) == ("half \ufffd a letter", "true")
    assert moment == "2026-01-01 04:30:00.25"  # in UTC, not cut off
    assert json.loads(detail)["path"] == "C:\\u0000"  # letters, not a NUL


def test_a_record_that_cannot_be_read_fails_the_job_instead_of_being_left_out(
    server: Server, place: Place
) -> None:
    job = server.run(server.connection(server.source("levels", rows=3), place.id))
    assert job["status"] == "failed"
    assert job["failureReason"] == "source-toy wrote a record of the stream items that cannot be read"
    assert place.tables() <= {"items"}
    if place.tables():
        assert place.count("items") == 0


def test_a_column_with_a_very_long_name_is_filled(server: Server, place: Place) -> None:
    source = server.source("long_names", rows=2)
    assert server.run(server.connection(source, place.id))["status"] == "succeeded"
    (columns,) = {
        name for (name,) in place.query("SELECT column_name FROM information_schema.columns WHERE table_name = 'items'")
        if name.startswith(LONG[:60])
    } or {LONG}  # fmt: skip
    assert place.query(f"SELECT DISTINCT {columns} FROM items") == [("there",)]


def test_a_column_that_appears_beside_one_of_the_same_name_fails_the_job(
    server: Server, place: Place
) -> None:
    source = server.source(rows=2)
    connection = server.connection(source, place.id, nonBreakingSchemaUpdatesBehavior="propagate_columns")
    server.run(connection)
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"behaviour": "alike"}})
    job = server.run(connection)
    assert job["status"] == "failed"
    assert "code and Code, which would both be written to the column code" in job["failureReason"]
    assert place.count("items") == 2


def test_views_and_grants_outlive_a_refresh_and_a_clear_begins_anew(server: Server, place: Place) -> None:
    connection = server.connection(server.source(rows=4), place.id, "incremental_append")
    server.run(connection)
    assert server.run(connection, "clear")["status"] == "succeeded"
    assert place.count("items") == 0
    assert server.run(connection)["rowsSynced"] == 4
    assert place.count("items") == 4


def test_a_source_that_lies_about_its_schema_fails_and_changes_nothing(server: Server, place: Place) -> None:
    good = server.source(rows=4)
    connection = server.connection(good, place.id)
    server.run(connection)
    for behaviour, part in (
        ("lies_type", "not a number"),
        ("lies_stream", "unheard_of"),
        ("fails_late", "hung up"),
    ):
        server.ask("PATCH", f"/sources/{good}", json={"configuration": {"behaviour": behaviour, "rows": 9}})
        job = server.run(connection)
        assert job["status"] == "failed"
        assert part in job["failureReason"], job
        assert len(job["failureReason"]) < 700
        assert place.count("items") == 4
        assert place.tables() == {"items"}
    server.ask("PATCH", f"/sources/{good}", json={"configuration": {"behaviour": "extra_field"}})
    assert server.run(connection)["status"] == "succeeded"
    assert place.count("items") == 9


def test_columns_that_appear_are_ignored_or_taken_up_as_the_connection_says(
    server: Server, place: Place
) -> None:
    source = server.source(rows=3)
    ignoring = server.connection(source, place.id, prefix="i_")
    taking = server.connection(
        source,
        place.id,
        "incremental_append",
        prefix="t_",
        nonBreakingSchemaUpdatesBehavior="propagate_columns",
    )
    for connection in (ignoring, taking):
        server.run(connection)
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"behaviour": "grown", "rows": 5}})
    for connection in (ignoring, taking):
        assert server.run(connection)["status"] == "succeeded"
    columns = "SELECT count(*) FROM information_schema.columns WHERE column_name = 'extra' AND table_name = "
    assert place.query(f"{columns}'i_items'") == [(0,)]
    assert place.query("SELECT count(*), count(extra) FROM t_items") == [(5, 2)]


def test_a_column_that_changes_its_type_is_taken_over_by_a_full_refresh(server: Server, place: Place) -> None:
    source = server.source(rows=3)
    connection = server.connection(source, place.id)
    server.run(connection)
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"behaviour": "retyped"}})
    assert server.run(connection)["status"] == "succeeded"
    assert place.query("SELECT sum(code) FROM items") in ([(6,)], [("6",)])
    assert place.tables() == {"items"}


def test_an_emptied_source_empties_its_table(server: Server, place: Place) -> None:
    source = server.source(rows=3)
    connection = server.connection(source, place.id)
    server.run(connection)
    server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": 0}})
    assert server.run(connection)["status"] == "succeeded"
    assert place.count("items") == 0


def test_a_state_that_cannot_be_kept_fails_the_job_instead_of_doubling_rows(
    server: Server, place: Place
) -> None:
    source = server.source("global", rows=3)
    job = server.run(server.connection(source, place.id, "incremental_append"))
    assert job["status"] == "failed"
    assert job["failureReason"] == (
        "The source keeps one state for all its streams; this engine keeps one for each."
        " Sync its streams in a full_refresh mode."
    )
    assert server.run(server.connection(source, place.id, "full_refresh_overwrite"))["status"] == "succeeded"


def test_secrets_do_not_reach_the_log(server: Server, place: Place) -> None:
    job = server.run(server.connection(server.source(api_key="the-key-of-the-log"), place.id))
    log = server.joblog(job["jobId"])
    assert "reading with the key **********" in log
    for path in (server.data / "logs").rglob("*.log"):
        assert "the-key-of-the-log" not in path.read_text()


def test_an_unreachable_database_is_refused_when_it_is_declared(
    server: Server, database: Postgres | None
) -> None:
    if database is None:
        pytest.skip("Postgres is not installed here: apt-get install postgresql")
    sent = {"name": "x", "workspaceId": server.workspace,
            "configuration": {"destinationType": "postgres", **database.config(password="wrong")}}  # fmt: skip
    answer = server.ask("POST", "/destinations", json=sent)
    assert answer.status_code == 400
    assert 'password authentication failed for user "loader"' in answer.json()["detail"]


def test_a_declarative_manifest_is_a_source_like_any_other(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    import json

    server = make_server()
    server.stop()
    (server.registry / "fixed.yaml").write_text(
        """
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [fixed]}
streams:
  - type: DeclarativeStream
    name: fixed
    primary_key: [id]
    retriever:
      type: SimpleRetriever
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: []}}
      requester:
        type: HttpRequester
        url_base: "{{ config['base_url'] }}"
        path: rows.json
        http_method: GET
    schema_loader:
      type: InlineSchemaLoader
      schema: {type: object, properties: {id: {type: integer}, name: {type: [string, "null"]}}}
spec:
  type: Spec
  connection_specification:
    type: object
    required: [base_url]
    properties: {base_url: {type: string}}
"""
    )
    (server.registry / "registry.json").write_text(json.dumps({"fixed": {"manifest": "fixed.yaml"}}))
    import http.server
    import threading

    web = tmp_path / "web"
    web.mkdir()
    (web / "rows.json").write_text('[{"id": 1, "name": "one"}, {"id": 2, "name": "two"}]')

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(web))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        again = Server.__new__(Server)
        again.__dict__ |= server.__dict__
        import httpx

        again.http = httpx.Client(base_url=again.base, timeout=180)
        again.start()
        try:
            configuration = {"sourceType": "fixed", "base_url": f"http://127.0.0.1:{site.server_port}/"}
            made = again.make("/sources", name="m", workspaceId=again.workspace, configuration=configuration)
            connection = again.connection(made["sourceId"], again.destination(), streams=[{"name": "fixed"}])
            assert again.run(connection)["rowsSynced"] == 2
            rows = duckdb(again.data / "local/toy.duckdb", "SELECT id, name FROM fixed ORDER BY id")
            assert rows == [(1, "one"), (2, "two")]
        finally:
            again.stop()
            site.shutdown()
