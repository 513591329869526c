"""Requests as careless or hostile clients send them: each gets an answer of Airbyte's kind."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import httpx
import pytest

from tests.server import ADMIN, Server

FORM = "application/x-www-form-urlencoded"


def ask(
    server: Server, method: str, path: str, body: bytes | None = None, kind: str = "application/json"
) -> httpx.Response:
    headers = {"Authorization": f"Bearer {server.token()}"} | ({"Content-Type": kind} if kind else {})
    return server.http.request(method, path, content=body, headers=headers)


def problem(answer: httpx.Response) -> tuple[int, str]:
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    assert answer.json()["status"] == answer.status_code
    return answer.status_code, answer.json()["detail"]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
@pytest.mark.parametrize("place", ["%s", "[1, %s]", '{"deep": [%s]}'])
def test_a_number_that_could_never_be_answered_again_is_not_stored(
    server: Server, number: str, place: str
) -> None:
    source = server.source()
    configuration = '{"sourceType": "toy", "behaviour": "plain", "count": %s}' % (place % number)
    for method, path, rest in (
        ("POST", "/sources", f'"name": "x", "workspaceId": "{server.workspace}"'),
        ("PUT", f"/sources/{source}", '"name": "x"'),
        ("PATCH", f"/sources/{source}", '"name": "x"'),
    ):
        answer = ask(server, method, path, f'{{{rest}, "configuration": {configuration}}}'.encode())
        assert problem(answer) == (400, "configuration: Numbers should be finite")
    assert ask(server, "GET", "/sources?limit=100").status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "Invalid JSON"), (b"[]", "Input should be an object"), (b'{"name": "\xff"}', "Invalid JSON"),
        (b'{"name": "\\ud800"}', "Invalid JSON"), (b"\xef\xbb\xbf{}", "Invalid JSON"),
        (b'{"name": ' + b"[" * 50_000 + b"]" * 50_000 + b"}", "Invalid JSON: recursion limit exceeded"),
        (b'{"name": ' + b"9" * 5000 + b"}", "Invalid JSON: number out of range"), (b'{"name": "x"}{', "Invalid JSON"),
        (b'{"name": "x", "surprise": 1}', "surprise: Extra inputs are not permitted"),
    ],
)  # fmt: skip
def test_a_body_that_makes_no_sense_is_refused_in_words(server: Server, body: bytes, said: str) -> None:
    status, detail = problem(ask(server, "POST", "/workspaces", body))
    assert (status, detail[: len(said)]) == (400, said)


@pytest.mark.parametrize(
    "kind", ["", "text/plain", "application/jsonp", "application/x-www-form-urlencoded", "json"]
)
def test_a_body_of_another_kind_is_refused(server: Server, kind: str) -> None:
    answer = ask(server, "POST", "/workspaces", b'{"name": "x"}', kind)
    assert problem(answer) == (400, "The body must be JSON, with the content type application/json.")


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON ; charset=utf-8", "application/json;"]
)
def test_json_is_json_however_it_is_written(server: Server, kind: str) -> None:
    made = ask(server, "POST", "/workspaces", b'{"name": "x"}', kind)
    assert made.status_code == 200, made.text
    ask(server, "DELETE", f"/workspaces/{made.json()['workspaceId']}")


def test_a_body_that_is_far_too_large_is_refused_and_the_client_hears_it(server: Server) -> None:
    for path, most in (("/workspaces", 1_000_000), ("/applications/token", 16_384)):
        assert problem(ask(server, "POST", path, b"x" * 20_000_000)) == (
            413,
            f"The body is larger than {most} bytes.",
        )
    assert ask(server, "GET", "/workspaces").status_code == 200


@pytest.mark.parametrize(("length", "status"), [(16_384, 401), (16_385, 413)])
def test_who_has_no_token_is_listened_to_for_as_long_as_a_secret_needs(
    server: Server, length: int, status: int
) -> None:
    """Thousands of large bodies that nobody answers for would fill the service's memory."""
    form = b"client_id=x&client_secret=".ljust(length, b"x")
    answer = server.http.post("/applications/token", content=form, headers={"content-type": FORM})
    assert answer.status_code == status


def test_a_body_that_comes_by_drops_ends_with_its_connection(make_server: Callable[..., Server]) -> None:
    """A second is given here; what comes in time is taken however many pieces it has."""
    server = make_server("--body-seconds=1")
    head = b"POST /api/public/v1/applications/token HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as slow:
        slow.sendall(head + b"Content-Length: 1000\r\n\r\n{")
        heard = b"".join(iter(lambda: slow.recv(65536), b""))
    assert heard.startswith(b"HTTP/1.1 408 ")
    assert b"The body had not arrived after 1 seconds." in heard
    known = {"client_id": ADMIN[0], "client_secret": ADMIN[1]}
    pieces = (bytes([one]) for one in json.dumps(known).encode())
    kind = {"content-type": "application/json"}
    assert server.http.post("/applications/token", content=pieces, headers=kind).status_code == 200


@pytest.mark.parametrize(
    "offset", ["-1", "x", "%D9%A1", "2147483648", "0" * 12 + "9" * 30, "0" * 12 + "1" * 5000, "1e3", "%00"]
)
def test_an_offset_that_is_no_number_of_theirs_is_refused(server: Server, offset: str) -> None:
    answer = ask(server, "GET", f"/workspaces?offset={offset}")
    assert problem(answer) == (400, "offset must be a number from 0 to 2147483647.")


def test_parameters_that_are_empty_are_not_given(server: Server) -> None:
    given = ask(server, "GET", "/workspaces?limit=&offset=&includeDeleted=&workspaceIds=")
    assert given.json() == ask(server, "GET", "/workspaces").json()


def test_a_method_that_does_not_exist_says_which_do(server: Server) -> None:
    answer = ask(server, "PUT", "/workspaces")
    assert problem(answer) == (405, "PUT is not known at this path.")
    assert set(answer.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_an_id_is_the_same_in_capitals(server: Server) -> None:
    source = server.source()
    connection = server.connection(source, server.destination())
    job = server.make("/jobs", connectionId=connection, jobType="clear")
    server.ask("DELETE", f"/jobs/{job['jobId']}")
    for path in (
        f"/sources/{source.upper()}",
        f"/connections/{connection.upper()}",
        f"/streams?sourceId={source.upper()}",
    ):
        assert ask(server, "GET", path).status_code == 200
    assert len(server.get("/jobs", connectionId=connection.upper())["data"]) == 1
    workspace = server.workspace
    assert server.get("/sources", workspaceIds=workspace.upper()) != server.get("/sources", workspaceIds="x")


@pytest.mark.parametrize("zone", ["UTC", "America/New_York"])
def test_a_moment_without_an_offset_is_in_utc(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, zone: str
) -> None:
    monkeypatch.setenv("TZ", zone)
    server = make_server()
    connection = server.connection(server.source(), server.destination())
    job = server.make("/jobs", connectionId=connection, jobType="clear")
    server.ask("DELETE", f"/jobs/{job['jobId']}")
    started = job["startTime"].removesuffix("Z")
    assert len(server.get("/jobs", createdAtStart=started)["data"]) == 1
    assert server.get("/jobs", createdAtEnd="0001-01-01T00:00:00")["data"] == []


def test_a_failure_of_the_service_is_an_answer_and_the_connection_goes_on(
    make_server: Callable[..., Server],
) -> None:
    server = make_server()
    source = server.source()
    with closing(sqlite3.connect(server.data / "state.sqlite")) as database, database:
        database.execute("UPDATE actors SET configuration = 'broken'")
    token = {"Authorization": f"Bearer {server.token()}"}
    with httpx.Client(base_url=server.base, headers=token, limits=httpx.Limits(max_connections=1)) as client:
        for _ in range(5):
            answer = client.get(f"/sources/{source}")
            assert problem(answer) == (500, "The service failed at this request; its log says more.")
            assert "InvalidToken" not in answer.text
            assert client.get("/health").status_code == 200
    said: Any = server.output()
    assert "GET /sources/{id} failed" in said
    assert "InvalidToken" in said
