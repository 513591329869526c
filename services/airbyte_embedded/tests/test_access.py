"""Who may do what, and what attackers get."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from airbyte_embedded.app import ANYONE, TABLE

from tests.server import ADMIN, ORCHESTRATOR, Server, write_clients

GUARDED = [(method, path) for method, path, _, scopes in TABLE if scopes != ANYONE]
ALLOWED = {
    (method, path)
    for method, path in GUARDED
    if (method == "GET" and not path.startswith("/applications")) or path.startswith("/jobs")
}


def concrete(path: str) -> str:
    return path.replace("{id}", "1")


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_without_a_token_nothing_is_answered(server: Server, method: str, path: str) -> None:
    answer = server.http.request(method, concrete(path))
    assert answer.status_code == 401
    assert answer.json()["title"] == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path"), GUARDED)
def test_an_orchestrator_may_read_and_handle_jobs_and_nothing_else(
    server: Server, method: str, path: str
) -> None:
    answer = server.ask(method, concrete(path), client=ORCHESTRATOR)
    assert (answer.status_code != 403) == ((method, path) in ALLOWED)


def test_an_orchestrator_cannot_make_a_source(server: Server) -> None:
    sent = {"name": "x", "workspaceId": server.workspace, "configuration": {"sourceType": "toy"}}
    answer = server.ask("POST", "/sources", client=ORCHESTRATOR, json=sent)
    assert answer.status_code == 403
    assert answer.json()["detail"] == "A client of the scope orchestrator may not do this."


@pytest.mark.parametrize("as_form", [True, False])
def test_credentials_give_a_token_of_fifteen_minutes(server: Server, as_form: bool) -> None:
    sent = {"client_id": ADMIN[0], "client_secret": ADMIN[1], "grant_type": "client_credentials"}
    answer = server.http.post("/applications/token", **({"data": sent} if as_form else {"json": sent}))
    token = answer.json()
    assert (token["token_type"], token["expires_in"]) == ("Bearer", 900)
    assert answer.headers["cache-control"] == "no-store"
    header = {"Authorization": f"Bearer {token['access_token']}"}
    assert server.http.get("/workspaces", headers=header).status_code == 200


@pytest.mark.parametrize(
    ("name", "secret"), [(ADMIN[0], "wrong"), ("nobody", ADMIN[1]), (ADMIN[0], ORCHESTRATOR[1])]
)
def test_wrong_credentials_do_not_say_which_half_was_wrong(server: Server, name: str, secret: str) -> None:
    answer = server.http.post("/applications/token", json={"client_id": name, "client_secret": secret})
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The client id or the client secret is wrong."


def forged(server: Server, key: bytes | None, algorithm: str = "HS256", **changes: Any) -> str:
    claims = jwt.decode(server.token(ORCHESTRATOR), options={"verify_signature": False}) | changes
    return jwt.encode(claims, key, algorithm=algorithm)


def test_forged_tokens_are_refused(server: Server) -> None:
    key = (server.data / "keys/token.key").read_bytes()
    good = server.token()
    tokens = {
        "another key": forged(server, b"k" * 64),
        "no signature": forged(server, None, "none"),
        "another algorithm": forged(server, key, "HS512"),
        "another client's id": forged(server, key, sub=ADMIN[0]),
        "a client that does not exist": forged(server, key, sub="nobody"),
        "cut short": good[:-4],
        "rubbish": "a.b.c",
    }
    for what, token in tokens.items():
        answer = server.http.get("/workspaces", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 401, what
    assert server.http.get("/workspaces", headers={"Authorization": f"Basic {good}"}).status_code == 401
    assert server.http.get("/workspaces", headers={"Authorization": f"Bearer {good}"}).status_code == 200


def test_an_expired_token_is_refused_and_says_so(server: Server) -> None:
    key = (server.data / "keys/token.key").read_bytes()
    now = int(time.time())
    answer = server.http.get(
        "/workspaces", headers={"Authorization": f"Bearer {forged(server, key, iat=now - 1000, exp=now - 1)}"}
    )
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The token has expired: POST /applications/token gives another."


def test_a_token_that_expires_in_the_middle_of_a_job_ends_nothing_but_itself(
    make_server: Callable[..., Server],
) -> None:
    server = make_server("--token-seconds", "2")
    connection = server.connection(server.source("slow", rows=60), server.destination())
    old = {"Authorization": f"Bearer {server.token(ORCHESTRATOR)}"}
    sent = {"connectionId": connection, "jobType": "sync"}
    job = server.http.post("/jobs", headers=old, json=sent).json()["jobId"]
    deadline = time.monotonic() + 10
    while server.http.get(f"/jobs/{job}", headers=old).status_code == 200:
        assert time.monotonic() < deadline, "the token never expired"
        time.sleep(0.1)
    assert server.ask("GET", f"/jobs/{job}", client=ORCHESTRATOR).json()["status"] in ("pending", "running")
    assert server.ask("DELETE", f"/jobs/{job}", client=ORCHESTRATOR).json()["status"] == "cancelled"


def test_a_rotated_secret_works_at_once_and_the_old_tokens_die(make_server: Callable[..., Server]) -> None:
    server = make_server()
    old = {"Authorization": f"Bearer {server.token(ORCHESTRATOR)}"}
    assert server.http.get("/jobs", headers=old).status_code == 200
    write_clients(server.clients, (*ADMIN, "admin"), (ORCHESTRATOR[0], "the next secret", "orchestrator"))
    answer = server.http.get("/jobs", headers=old)
    assert answer.status_code == 401
    assert answer.json()["detail"] == "The token's client was removed or its secret was rotated."
    assert (
        server.http.post(
            "/applications/token", json={"client_id": ORCHESTRATOR[0], "client_secret": ORCHESTRATOR[1]}
        ).status_code
        == 401
    )
    assert server.ask("GET", "/jobs", client=(ORCHESTRATOR[0], "the next secret")).status_code == 200


def test_half_a_file_of_clients_lets_nobody_in(make_server: Callable[..., Server]) -> None:
    server = make_server()
    token = {"Authorization": f"Bearer {server.token()}"}
    whole = server.clients.read_text()
    server.clients.write_text(whole[:20])
    answer = server.http.get("/jobs", headers=token)
    assert (answer.status_code, answer.json()["title"]) == (503, "service-unavailable")
    server.clients.write_text(whole)
    assert server.http.get("/jobs", headers=token).status_code == 200


def test_an_application_gets_its_secret_once_and_loses_its_token_when_deleted(server: Server) -> None:
    made = server.make("/applications", name="dashboards")
    assert made["scope"] == "orchestrator"
    client = (made["clientId"], made["clientSecret"])
    token = {"Authorization": f"Bearer {server.token(client)}"}
    assert server.http.get("/jobs", headers=token).status_code == 200
    assert server.http.post("/workspaces", headers=token, json={"name": "x"}).status_code == 403
    shown = server.get(f"/applications/{made['id']}")
    assert shown["clientSecret"] == "**********"
    assert made["clientSecret"].encode() not in (server.data / "state.sqlite").read_bytes()
    assert server.ask("DELETE", f"/applications/{made['id']}").status_code == 200
    assert server.http.get("/jobs", headers=token).status_code == 401


def test_a_huge_body_is_refused_before_it_is_kept(server: Server) -> None:
    answer = server.ask("POST", "/workspaces", content=b"x" * 1_100_000)
    assert answer.status_code == 413
    assert server.http.get("/health").status_code == 200


@pytest.mark.parametrize("query", [
    {"connectionId": "' OR 1=1 --"}, {"workspaceIds": "x') OR 1=1 --"},
])  # fmt: skip
def test_sql_in_a_filter_finds_nothing(server: Server, query: dict[str, str]) -> None:
    assert server.get("/jobs", **query)["data"] == []


@pytest.mark.parametrize(
    ("query", "detail"),
    [
        ({"orderBy": "id; DROP TABLE jobs"},
         "orderBy must be createdAt or updatedAt, a bar, and ASC or DESC: updatedAt|DESC."),
        ({"status": "x' OR 1"},
         "status must be one of pending, queued, running, incomplete, failed, succeeded, cancelled."),
        ({"limit": "1000"}, "limit must be a number from 1 to 100."),
        ({"limit": "-1"}, "limit must be a number from 1 to 100."),
        ({"offset": "1 OR 1"}, "offset must be a number from 0 to 2147483647."),
        ({"createdAtStart": "yesterday"},
         "createdAtStart must be a date and time such as 2026-01-31T12:00:00Z."),
    ],
)  # fmt: skip
def test_filters_that_make_no_sense_are_refused(server: Server, query: dict[str, str], detail: str) -> None:
    answer = server.ask("GET", "/jobs", params=query)
    assert (answer.status_code, answer.json()["detail"]) == (400, detail)


@pytest.mark.parametrize(
    "path", ["/local/../../../etc/cron.d/x", "/etc/passwd", "/local/a/../../b.duckdb", "x.duckdb"]
)
def test_a_destination_cannot_leave_its_folder(server: Server, path: str) -> None:
    sent = {"name": "x", "workspaceId": server.workspace,
            "configuration": {"destinationType": "duckdb", "destination_path": path}}  # fmt: skip
    assert server.ask("POST", "/destinations", json=sent).status_code in (400, 422)


def test_a_link_does_not_lead_out_of_the_folder_either(server: Server, tmp_path: Any) -> None:
    (server.data / "local/out").symlink_to(tmp_path)
    sent = {"name": "x", "workspaceId": server.workspace,
            "configuration": {"destinationType": "duckdb", "destination_path": "/local/out/x.duckdb"}}  # fmt: skip
    answer = server.ask("POST", "/destinations", json=sent)
    assert (answer.status_code, answer.json()["detail"]) == (
        400,
        "destination_path must stay inside /local/.",
    )


def test_a_path_or_method_that_does_not_exist_says_so_in_the_same_format(server: Server) -> None:
    assert server.http.get("/nothing").json()["title"] == "resource-not-found"
    assert server.http.put("/jobs").json()["title"] == "method-not-allowed"


def test_what_is_on_disk_is_for_this_account_alone(server: Server) -> None:
    assert server.data.stat().st_mode & 0o077 == 0
    for path in [server.data / "state.sqlite", *(server.data / "keys").iterdir()]:
        assert path.stat().st_mode & 0o177 == 0, path
