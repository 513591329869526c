"""What happens while a connector is asked: changes by others are neither lost nor undone, and nothing is made of what
is gone.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server import Server


def asked_of(server: Server, word: Path, wait: Callable[[], httpx.Response]) -> Future[httpx.Response]:
    """`wait` in a thread of its own, as far as the source having been asked for its streams."""
    pool = ThreadPoolExecutor(1)
    answer = pool.submit(wait)
    pool.shutdown(wait=False)
    deadline = time.monotonic() + 60
    while not word.with_suffix(".asked").exists():
        assert time.monotonic() < deadline, server.output()
        time.sleep(0.02)
    return answer


def fields_of(streams: Any) -> list[str]:
    return [name for (name,) in streams[0]["propertyFields"]]


@pytest.mark.parametrize("query", [{}, {"ignoreCache": "true"}])
def test_streams_of_a_source_that_changed_while_it_was_asked_are_those_of_its_new_configuration(
    server: Server, tmp_path: Path, query: dict[str, str]
) -> None:
    word = tmp_path / "word"
    source = server.source("discovers_when_told", marker=str(word))
    answer = asked_of(
        server, word, lambda: server.ask("GET", "/streams", params={"sourceId": source, **query})
    )
    renewed = server.ask("PATCH", f"/sources/{source}", json={"configuration": {"behaviour": "grown"}})
    assert renewed.status_code == 200, renewed.text
    word.touch()
    assert "extra" in fields_of(answer.result(60).json())
    assert "extra" in fields_of(server.get("/streams", sourceId=source))


def test_a_connection_is_not_made_of_a_source_that_was_deleted_while_it_was_asked(
    server: Server, tmp_path: Path
) -> None:
    word = tmp_path / "word"
    source, destination = server.source("discovers_when_told", marker=str(word)), server.destination()
    body = {"sourceId": source, "destinationId": destination}
    answer = asked_of(server, word, lambda: server.ask("POST", "/connections", json=body))
    assert server.ask("DELETE", f"/sources/{source}").status_code == 204
    word.touch()
    refused = answer.result(60)
    assert (refused.status_code, refused.json()["title"]) == (404, "resource-not-found")
    kept = server.get("/connections", limit=100)["data"]
    assert [one for one in kept if one["sourceId"] == source] == []


CHECKED = {"behaviour": "checks_when_told"}


@pytest.fixture
def word(tmp_path: Path) -> Path:
    return tmp_path / "word"


@pytest.mark.parametrize("verb", ["PATCH", "PUT"])
def test_a_name_that_somebody_else_changes_meanwhile_stays(server: Server, word: Path, verb: str) -> None:
    source = server.source()
    slow = {"configuration": {**CHECKED, "marker": str(word)}} | ({"name": "put"} if verb == "PUT" else {})
    answer = asked_of(server, word, lambda: server.ask(verb, f"/sources/{source}", json=slow))
    assert server.ask("PATCH", f"/sources/{source}", json={"name": "renamed"}).status_code == 200
    word.touch()
    assert answer.result(60).status_code == 200
    assert server.get(f"/sources/{source}")["name"] == ("put" if verb == "PUT" else "renamed")


def test_two_changes_of_a_configuration_are_both_there(server: Server, word: Path) -> None:
    source = server.source(rows=1)
    slow = {"configuration": {**CHECKED, "marker": str(word)}}
    answer = asked_of(server, word, lambda: server.ask("PATCH", f"/sources/{source}", json=slow))
    quick = server.ask("PATCH", f"/sources/{source}", json={"configuration": {"rows": 3}})
    assert quick.status_code == 200, quick.text
    word.touch()
    shown = {"sourceType": "toy", **CHECKED, "marker": str(word), "rows": 3}
    assert answer.result(60).json()["configuration"] == shown
    assert server.get(f"/sources/{source}")["configuration"] == shown


def test_a_source_that_is_deleted_while_it_is_changed_is_not_found(server: Server, word: Path) -> None:
    source = server.source()
    slow = {"configuration": {**CHECKED, "marker": str(word)}}
    answer = asked_of(server, word, lambda: server.ask("PATCH", f"/sources/{source}", json=slow))
    assert server.ask("DELETE", f"/sources/{source}").status_code == 204
    word.touch()
    assert answer.result(60).status_code == 404


def test_nothing_is_made_in_a_workspace_that_was_deleted_meanwhile(server: Server, word: Path) -> None:
    workspace = server.make("/workspaces", name="short-lived")["workspaceId"]
    configuration = {"sourceType": "toy", **CHECKED, "marker": str(word)}
    body = {"name": "late", "workspaceId": workspace, "configuration": configuration}
    answer = asked_of(server, word, lambda: server.ask("POST", "/sources", json=body))
    assert server.ask("DELETE", f"/workspaces/{workspace}").status_code == 204
    word.touch()
    assert answer.result(60).status_code == 404
    assert server.get("/sources", workspaceIds=workspace, includeDeleted=True)["data"] == []


def test_no_connection_leads_to_a_destination_that_was_deleted_meanwhile(server: Server, word: Path) -> None:
    source, destination = server.source("discovers_when_told", marker=str(word)), server.destination()
    body = {"sourceId": source, "destinationId": destination}
    answer = asked_of(server, word, lambda: server.ask("POST", "/connections", json=body))
    assert server.ask("DELETE", f"/destinations/{destination}").status_code == 204
    word.touch()
    refused = answer.result(60)
    assert (refused.status_code, refused.json()["data"]["resourceType"]) == (404, "destination")


def test_a_connection_that_is_paused_while_its_streams_are_changed_stays_paused(
    server: Server, word: Path
) -> None:
    word.touch()
    source, destination = server.source("discovers_when_told", marker=str(word)), server.destination()
    schedule = {"scheduleType": "cron", "cronExpression": "0 0 0 1 JAN ?"}
    connection = server.connection(source, destination, schedule=schedule, name="before")
    for file in (word, word.with_suffix(".asked")):
        file.unlink()
    streams = {"configurations": {"streams": [{"name": "more"}]}}
    answer = asked_of(server, word, lambda: server.ask("PATCH", f"/connections/{connection}", json=streams))
    paused = {"status": "inactive", "schedule": {"scheduleType": "manual"}, "name": "paused"}
    assert server.ask("PATCH", f"/connections/{connection}", json=paused).status_code == 200
    word.touch()
    assert answer.result(60).status_code == 200
    found = server.get(f"/connections/{connection}")
    assert {name: found[name] for name in paused} == paused
    assert [stream["name"] for stream in found["configurations"]["streams"]] == ["more"]
