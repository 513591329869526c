"""Sources, destinations and connections: what is accepted, what is refused and in which words, what is hidden."""

from __future__ import annotations

import sqlite3
from typing import Any

import pytest

from tests.postgres import Postgres, needs_postgres
from tests.server import Server

MASK = "**********"


def refuse(server: Server, path: str, code: int, /, **body: Any) -> str:
    answer = server.ask("POST", path, json=body)
    assert answer.status_code == code, answer.text
    return str(answer.json()["detail"])


def source_refused(server: Server, status: int, **configuration: Any) -> str:
    return refuse(
        server, "/sources", status, name="x", workspaceId=server.workspace, configuration=configuration
    )


def test_a_source_is_known_by_its_definition_too(server: Server) -> None:
    first = server.get(f"/sources/{server.source()}")
    made = server.make(
        "/sources", name="by definition", workspaceId=server.workspace, definitionId=first["definitionId"],
        configuration={"behaviour": "plain"},
    )  # fmt: skip
    assert made["sourceType"] == "toy"


def test_an_unknown_connector_is_named_with_those_that_are_known(server: Server) -> None:
    assert source_refused(server, 400, sourceType="postgres") == (
        "There is no connector 'postgres' on this machine. Known source types: faker, toy. "
        "The operator adds one to the registry of connectors."
    )
    detail = refuse(
        server, "/destinations", 400, name="x", workspaceId=server.workspace,
        configuration={"destinationType": "snowflake"},
    )  # fmt: skip
    assert detail == "This engine writes to postgres, duckdb and parquet, not to 'snowflake'."


def test_a_configuration_is_judged_by_the_connectors_specification_without_repeating_values(
    server: Server,
) -> None:
    detail = source_refused(server, 422, sourceType="toy", rows=-1, api_key=12345678, surprise=1)
    assert detail == (
        "The configuration does not fit toy: api_key fails the rule type string; behaviour is missing; "
        "rows fails the rule minimum 0; surprise is not known"
    )


def test_a_configuration_that_the_connector_refuses_is_not_stored(server: Server) -> None:
    before = len(server.get("/sources", limit=100)["data"])
    assert source_refused(server, 400, sourceType="toy", behaviour="refuses") == (
        "source-toy refuses this configuration: wrong password"
    )
    assert len(server.get("/sources", limit=100)["data"]) == before


def test_a_connector_that_hangs_at_its_check_is_given_up(make_server: Any) -> None:
    server = make_server("--check-seconds", "2")
    assert source_refused(server, 400, sourceType="toy", behaviour="check_hangs") == (
        "source-toy did not answer to check within 2 seconds."
    )


def test_a_connector_that_writes_without_an_end_is_stopped_before_the_memory_is_full(server: Server) -> None:
    assert source_refused(server, 503, sourceType="toy", behaviour="check_floods") == (
        "source-toy: it wrote more than 64 MiB"
    )


def test_secrets_are_masked_in_answers_encrypted_on_disk_and_kept_when_the_mask_comes_back(
    server: Server,
) -> None:
    secret, other = "a-very-secret-key", "another-secret-key"
    source = server.source(api_key=secret, auth={"kind": "key", "key": other})
    shown = server.get(f"/sources/{source}")["configuration"]
    assert shown == {
        "sourceType": "toy",
        "behaviour": "plain",
        "api_key": MASK,
        "auth": {"kind": "key", "key": MASK},
    }
    with sqlite3.connect(server.data / "state.sqlite") as database:
        database.execute("PRAGMA wal_checkpoint")
    kept = b"".join(path.read_bytes() for path in server.data.glob("state.sqlite*"))
    assert secret.encode() not in kept
    assert other.encode() not in kept
    for verb, body in (("PUT", {"name": "again", "configuration": shown | {"rows": 3}}),
                       ("PATCH", {"configuration": {"api_key": MASK, "marker": "m"}})):  # fmt: skip
        assert server.ask(verb, f"/sources/{source}", json=body).status_code == 200
    from airbyte_embedded.vault import Vault

    with sqlite3.connect(server.data / "state.sqlite") as database:
        (sealed,) = database.execute("SELECT configuration FROM actors WHERE id = ?", (source,)).fetchone()
    assert Vault(server.data / "keys").open(sealed) == {
        "behaviour": "plain", "api_key": secret, "auth": {"kind": "key", "key": other}, "rows": 3, "marker": "m",
    }  # fmt: skip
    assert secret not in server.output()


@pytest.mark.parametrize(
    ("stream", "detail"),
    [
        ({"name": "nothing"}, "nothing: the source has no such stream; it has items, more"),
        ({"name": "items", "syncMode": "incremental_update"},
         "items: the mode incremental_update is not possible here; possible are full_refresh_overwrite, "
         "full_refresh_append, full_refresh_overwrite_deduped, incremental_append, incremental_deduped_history"),
        ({"name": "items", "primaryKey": [["code"]]}, "items: the source defines the primary key itself"),
        ({"name": "items", "cursorField": ["code"]}, "items: the source defines the cursor itself"),
        ({"name": "items", "selectedFields": [{"fieldPath": ["code"]}]},
         "items: the selection leaves out id, updated_at, which the key or cursor needs"),
        ({"name": "items", "mappers": [{"type": "hashing"}]}, "items: mappers is not supported by this engine"),
    ],
)  # fmt: skip
def test_streams_that_do_not_fit_are_refused(server: Server, stream: dict[str, Any], detail: str) -> None:
    found = refuse(
        server, "/connections", 400, sourceId=server.source(), destinationId=server.destination(),
        configurations={"streams": [stream]},
    )  # fmt: skip
    assert found == detail


def test_fields_that_would_share_a_column_are_refused_and_a_selection_helps(server: Server) -> None:
    ends = {"sourceId": server.source("alike"), "destinationId": server.destination()}
    assert refuse(server, "/connections", 400, **ends, configurations={"streams": [{"name": "items"}]}) == (
        "items: code and Code would both be written to the column code: select one of them"
    )
    chosen = [{"fieldPath": [name]} for name in ("id", "updated_at", "code")]
    server.make(
        "/connections", **ends, configurations={"streams": [{"name": "items", "selectedFields": chosen}]}
    )


def test_a_stream_without_a_key_takes_one_of_the_connections_own(server: Server) -> None:
    source, destination = server.source(keyless=True), server.destination()
    offered = server.get("/streams", sourceId=source, destinationId=destination)[0]
    assert (offered["sourceDefinedPrimaryKey"], offered["defaultCursorField"]) == ([], [])
    assert offered["syncModes"] == [
        "full_refresh_overwrite", "full_refresh_append", "full_refresh_overwrite_deduped", "incremental_append",
        "incremental_deduped_history",
    ]  # fmt: skip
    stream = {"name": "items", "syncMode": "incremental_deduped_history"}
    ends = {"sourceId": source, "destinationId": destination}
    assert refuse(server, "/connections", 400, **ends, configurations={"streams": [stream]}) == (
        "items: an incremental mode needs a cursorField; items: a deduped mode needs a primaryKey"
    )
    own = stream | {"cursorField": ["updated_at"], "primaryKey": [["id"], ["code"]]}
    connection = server.connection(source, destination, streams=[own])
    (kept,) = server.get(f"/connections/{connection}")["configurations"]["streams"]
    assert kept == own | {"mappers": []}
    wrong = own | {"primaryKey": [["no"]]}
    assert refuse(server, "/connections", 400, **ends, configurations={"streams": [wrong]}) == (
        "items: there is no field no"
    )


@pytest.mark.parametrize(
    ("setting", "detail"),
    [
        ({"schedule": {"scheduleType": "cron"}},
         "The cronExpression '' cannot be used: it needs six fields, seconds first, and may name a time zone after "
         "them."),
        ({"schedule": {"scheduleType": "cron", "cronExpression": "0 0 12 ? * 2"}},
         "The cronExpression '0 0 12 ? * 2' cannot be used: days of the week are written by name (MON-FRI); "
         "L, W and # are not supported."),
        ({"schedule": {"scheduleType": "cron", "cronExpression": "0 0 0 30 FEB ?"}},
         "The cronExpression '0 0 0 30 FEB ?' cannot be used: no date answers to it."),
        ({"schedule": {"scheduleType": "cron", "cronExpression": "0 0 0 30 FEB ?"}, "status": "inactive"},
         "The cronExpression '0 0 0 30 FEB ?' cannot be used: no date answers to it."),
        ({"prefix": "A", "nonBreakingSchemaUpdatesBehavior": "propagate_fully"},
         "nonBreakingSchemaUpdatesBehavior can be ignore or propagate_columns with this engine. prefix may hold small "
         "letters, digits and _, up to 40 of them."),
        ({"namespaceDefinition": "custom_format", "namespaceFormat": "raw\n"},
         "namespaceFormat must be a plain schema name: small letters, digits and _."),
        ({"namespaceDefinition": "source"},
         "namespaceDefinition source is not supported by this engine: destination or custom_format."),
        ({"namespaceDefinition": "custom_format", "namespaceFormat": 'x"; DROP SCHEMA public'},
         "namespaceFormat must be a plain schema name: small letters, digits and _."),
        ({"prefix": "x; --"}, "prefix may hold small letters, digits and _, up to 40 of them."),
        ({"nonBreakingSchemaUpdatesBehavior": "disable_connection"},
         "nonBreakingSchemaUpdatesBehavior can be ignore or propagate_columns with this engine."),
        ({"surprise": 1}, "surprise: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_settings_that_this_engine_cannot_keep_are_refused_not_ignored(
    server: Server, setting: dict[str, Any], detail: str
) -> None:
    source, destination = server.source(), server.destination()
    found = refuse(server, "/connections", 400, sourceId=source, destinationId=destination, **setting)
    assert found == detail
    kept = server.get("/connections", limit=100, includeDeleted=True)["data"]
    assert [one for one in kept if one["sourceId"] == source] == []


def test_a_schedule_without_a_date_changes_nothing_of_a_connection(server: Server) -> None:
    connection = server.connection(server.source(), server.destination())
    before = server.get(f"/connections/{connection}")
    never = {"scheduleType": "cron", "cronExpression": "0 0 0 30 FEB ?"}
    answer = server.ask("PATCH", f"/connections/{connection}", json={"name": "x", "schedule": never})
    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert answer.json()["title"] == "bad-request"
    assert server.get(f"/connections/{connection}") == before


def test_pages_lead_to_each_other(server: Server) -> None:
    workspace = server.make("/workspaces", name="pages")["workspaceId"]
    for number in range(3):
        configuration = {"destinationType": "duckdb", "destination_path": f"/local/p{number}.duckdb"}
        server.make("/destinations", name=f"d{number}", workspaceId=workspace, configuration=configuration)
    first = server.get("/destinations", workspaceIds=workspace, limit=2)
    assert ([entry["name"] for entry in first["data"]], first["previous"]) == (["d0", "d1"], "")
    headers = {"Authorization": f"Bearer {server.token()}"}
    second = server.http.get(first["next"], headers=headers).json()
    assert ([entry["name"] for entry in second["data"]], second["next"]) == (["d2"], "")
    assert server.http.get(second["previous"], headers=headers).json()["data"] == first["data"]


def test_what_is_deleted_takes_what_hangs_on_it_along(server: Server) -> None:
    source, destination = server.source(), server.destination()
    connection = server.connection(source, destination)
    assert server.ask("DELETE", f"/sources/{source}").status_code == 204
    assert server.ask("GET", f"/connections/{connection}").status_code == 404
    assert (
        server.ask("POST", "/jobs", json={"connectionId": connection, "jobType": "sync"}).status_code == 404
    )
    assert server.ask("GET", f"/destinations/{destination}").status_code == 200


def test_a_refresh_and_an_inactive_connection_are_refused(server: Server) -> None:
    connection = server.connection(server.source(), server.destination(), status="inactive")
    assert (
        refuse(server, "/jobs", 400, connectionId=connection, jobType="sync") == "The connection is inactive."
    )
    assert refuse(server, "/jobs", 400, connectionId=connection, jobType="refresh") == (
        "This engine has no refresh: clear the connection, then sync it."
    )


def test_a_tool_that_is_missing_is_named_and_leaves_nothing(
    make_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")  # where uv is not
    server = make_server("--worker-python", "/nonexistent/python")
    faker = {"name": "f", "workspaceId": server.workspace, "configuration": {"sourceType": "faker"}}
    refused = server.ask("POST", "/sources", json=faker)
    assert (refused.status_code, refused.json()["detail"]) == (
        503,
        "The connector source-faker could not be installed: uv could not be started: No such file or directory",
    )
    file = {"destinationType": "duckdb", "destination_path": "/local/x.duckdb"}
    place = {"name": "d", "workspaceId": server.workspace, "configuration": file}
    refused = server.ask("POST", "/destinations", json=place)
    assert (refused.status_code, refused.json()["detail"]) == (
        503,
        "/nonexistent/python could not be started: No such file or directory",
    )
    assert server.get("/sources")["data"] == server.get("/destinations")["data"] == []
    assert [*(server.data / "connectors").iterdir(), *(server.data / "work").iterdir()] == []


@needs_postgres
def test_a_schema_that_the_account_may_not_make_is_refused_with_the_connection(server: Server) -> None:
    """Not at the first sync."""
    database = Postgres().start()
    try:
        for sql in (
            "CREATE ROLE plain LOGIN PASSWORD 'plain'", "CREATE SCHEMA raw AUTHORIZATION plain",
            "CREATE SCHEMA more AUTHORIZATION plain",
        ):  # fmt: skip
            database.query(sql)
        account = {"username": "plain", "password": "plain", "schema": "raw"}
        to, source = server.destination("postgres", **database.config(**account)), server.source()
        elsewhere = {"namespaceDefinition": "custom_format", "namespaceFormat": "sales"}
        body = {"sourceId": source, "destinationId": to, "configurations": {"streams": [{"name": "items"}]}}
        made = server.connection(source, to, namespaceDefinition="custom_format", namespaceFormat="more")
        for method, path, sent in (
            ("POST", "/connections", body | elsewhere), ("PATCH", f"/connections/{made}", elsewhere),
        ):  # fmt: skip
            answer = server.ask(method, path, json=sent)
            assert answer.status_code == 400
            assert "there is no schema sales, and the account may not create one" in answer.json()["detail"]
        assert server.get(f"/connections/{made}")["namespaceFormat"] == "more"
        word = server.ask("POST", "/connections", json=body | elsewhere | {"namespaceFormat": "order"})
        assert "order is a word of SQL's own, and cannot be the schema's name" in word.json()["detail"]
    finally:
        database.close()
