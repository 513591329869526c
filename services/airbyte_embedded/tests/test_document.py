"""Every implemented path against Airbyte's own OpenAPI document."""

from __future__ import annotations

import re
import uuid
from typing import Any

import httpx
import pytest
from airbyte_embedded.app import BASE, TABLE

from tests.document import Document, needs_document
from tests.server import Server

pytestmark = needs_document
# Tags only group connections in Airbyte's pages, and this engine has no pages.
ABSENT = {("GET", "/tags"), ("POST", "/tags"), ("GET", "/tags/{tagId}"), ("DELETE", "/tags/{tagId}"),
          ("PATCH", "/tags/{tagId}")}  # fmt: skip
# facts of Airbyte's that the document leaves out, and one extension of ours
BEYOND = {("POST", "/applications/token"), ("GET", "/applications"), ("POST", "/applications"),
          ("GET", "/applications/{id}"), ("DELETE", "/applications/{id}"), ("GET", "/jobs/{id}/log")}  # fmt: skip


@pytest.fixture(scope="module")
def document() -> Document:
    return Document()


@pytest.fixture(scope="module")
def judged(server: Server, document: Document) -> Any:
    """Asks, and has the document judge the answer."""

    def ask(method: str, path: str, *, sent: Any = None, query: Any = None, **ids: str) -> httpx.Response:
        concrete = path
        for name, value in ids.items():
            concrete = concrete.replace(f"{{{name}}}", value)
        answer = (
            server.ask(method, concrete, json=sent, params=query)
            if sent is not None
            else server.ask(method, concrete, params=query)
        )
        document.judge(method, path, answer, sent)
        return answer

    return ask


def every(judged: Any, path: str, **query: str) -> list[dict[str, Any]]:
    """What all pages of a listing hold: other tests on this server leave things behind."""
    found: list[dict[str, Any]] = []
    while True:
        page = judged("GET", path, query={**query, "limit": "100", "offset": str(len(found))}).json()["data"]
        found += page
        if len(page) < 100:
            return found


def test_every_documented_path_is_implemented_but_the_tags(document: Document) -> None:
    ours = {(method, re.sub(r"\{.*?\}", "{id}", path)) for method, path, _, _ in TABLE}
    theirs = {(method, re.sub(r"\{.*?\}", "{id}", path)) for method, path in document.operations()}
    absent = {(method, re.sub(r"\{.*?\}", "{id}", path)) for method, path in ABSENT}
    assert theirs - ours == absent
    assert ours - theirs == BEYOND
    assert BASE == "/api/public/v1"


def test_workspaces_are_made_read_changed_and_deleted(judged: Any) -> None:
    sent = {
        "name": "Team",
        "notifications": {"failure": {"webhook": {"enabled": True, "url": "https://hooks"}}},
    }
    made = judged("POST", "/workspaces", sent=sent).json()
    assert made["notifications"] == sent["notifications"]
    ids = {"workspaceId": made["workspaceId"]}
    assert judged("GET", "/workspaces/{workspaceId}", **ids).json() == made
    changed = judged("PATCH", "/workspaces/{workspaceId}", sent={"name": "Crew"}, **ids).json()
    assert changed == made | {"name": "Crew"}
    assert judged("DELETE", "/workspaces/{workspaceId}", **ids).status_code == 204
    assert judged("GET", "/workspaces/{workspaceId}", **ids).status_code == 404
    listed = every(judged, "/workspaces", includeDeleted="true")
    assert made["workspaceId"] in [entry["workspaceId"] for entry in listed]


@pytest.mark.parametrize(
    ("path", "kind", "configuration"),
    [
        ("/sources", "source", {"sourceType": "toy", "behaviour": "plain", "api_key": "a-long-secret"}),
        (
            "/destinations",
            "destination",
            {"destinationType": "duckdb", "destination_path": "/local/judged.duckdb"},
        ),
    ],
)
def test_sources_and_destinations_are_made_read_changed_and_deleted(
    server: Server, judged: Any, path: str, kind: str, configuration: dict[str, Any]
) -> None:
    sent = {"name": "one", "workspaceId": server.workspace, "configuration": configuration}
    made = judged("POST", path, sent=sent).json()
    assert made[f"{kind}Type"] == configuration[f"{kind}Type"]
    one, ids = f"{path}/{{{kind}Id}}", {f"{kind}Id": made[f"{kind}Id"]}
    assert judged("GET", one, **ids).json() == made
    assert judged("PATCH", one, sent={"name": "two"}, **ids).json() == made | {"name": "two"}
    assert (
        judged("PUT", one, sent={"name": "three", "configuration": configuration}, **ids).json()["name"]
        == "three"
    )
    assert made[f"{kind}Id"] in [entry[f"{kind}Id"] for entry in every(judged, path)]
    assert judged("DELETE", one, **ids).status_code == 204
    assert judged("GET", one, **ids).status_code == 404


def test_connections_and_streams(server: Server, judged: Any) -> None:
    source, destination = server.source(), server.destination()
    offered = judged("GET", "/streams", query={"sourceId": source, "destinationId": destination}).json()
    assert [stream["streamName"] for stream in offered] == ["items", "more"]
    sent = {
        "sourceId": source,
        "destinationId": destination,
        "name": "toy to file",
        "schedule": {"scheduleType": "cron", "cronExpression": "0 30 6 * * ? Europe/Berlin"},
        "prefix": "toy_",
        "nonBreakingSchemaUpdatesBehavior": "propagate_columns",
        "configurations": {
            "streams": [
                {
                    "name": "items",
                    "syncMode": "incremental_deduped_history",
                    "selectedFields": [{"fieldPath": ["id"]}, {"fieldPath": ["updated_at"]}],
                }
            ]
        },
    }
    made = judged("POST", "/connections", sent=sent).json()
    assert made["configurations"]["streams"][0]["primaryKey"] == [["id"]]
    ids = {"connectionId": made["connectionId"]}
    assert judged("GET", "/connections/{connectionId}", **ids).json() == made
    changed = judged("PATCH", "/connections/{connectionId}", sent={"status": "inactive"}, **ids).json()
    assert changed == made | {"status": "inactive"}
    assert made["connectionId"] in [entry["connectionId"] for entry in every(judged, "/connections")]
    assert judged("DELETE", "/connections/{connectionId}", **ids).status_code == 204
    assert judged("GET", "/connections/{connectionId}", **ids).status_code == 404
    tombstones = every(judged, "/connections", includeDeleted="true")
    assert {entry["status"] for entry in tombstones if entry["connectionId"] == made["connectionId"]} == {
        "deprecated"
    }


def test_jobs(server: Server, judged: Any) -> None:
    connection = server.connection(server.source("slow", rows=1000), server.destination())
    made = judged("POST", "/jobs", sent={"connectionId": connection, "jobType": "sync"}).json()
    assert made["status"] in ("pending", "running")
    ids = {"jobId": str(made["jobId"])}
    assert judged("GET", "/jobs/{jobId}", **ids).json()["connectionId"] == connection
    listed = judged(
        "GET", "/jobs", query={"connectionId": connection, "jobType": "sync", "orderBy": "createdAt|ASC"}
    )
    assert [job["jobId"] for job in listed.json()["data"]] == [made["jobId"]]
    assert judged("DELETE", "/jobs/{jobId}", **ids).json()["status"] == "cancelled"
    assert judged("GET", "/jobs/{jobId}", jobId="999999").status_code == 404


def test_health(judged: Any) -> None:
    answer = judged("GET", "/health")
    assert answer.text.splitlines()[0] == "Successful operation"
    assert answer.text.splitlines()[1].startswith("airbyte-embedded ")
    assert "not the Airbyte platform" in answer.text


@pytest.mark.parametrize("path", ["/sources", "/destinations", "/connections", "/workspaces"])
def test_ids_that_are_unknown_or_no_ids_at_all_answer_404_in_airbytes_format(
    server: Server, path: str
) -> None:
    for identifier in (str(uuid.uuid4()), "..%2f..%2fetc", "' OR 1=1 --", "0"):
        answer = server.ask("GET", f"{path}/{identifier}")
        assert unknown(answer)


def unknown(answer: httpx.Response, kind: str = "", identifier: str = "") -> bool:
    """Whether it is Airbyte's 404, of the kind and with the id, where these are given."""
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    if kind:
        assert problem["detail"] == f"There is no {kind} {identifier}."
        assert problem["data"] == {"resourceType": kind, "resourceId": identifier}
    assert problem == {
        "status": 404,
        "type": "https://reference.airbyte.com/reference/errors#resource-not-found",
        "title": "resource-not-found",
        "detail": problem["detail"],
        "documentationUrl": None,
        "data": problem["data"],
    }
    return True


CONFIGURATION = {"configuration": {"sourceType": "toy", "behaviour": "plain"}}
NAME = {"name": "another"}


@pytest.mark.parametrize(
    ("method", "path", "sent"),
    [
        ("PATCH", "/sources/{sourceId}", NAME),
        ("PUT", "/sources/{sourceId}", NAME | CONFIGURATION),
        ("DELETE", "/sources/{sourceId}", None),
        ("PATCH", "/destinations/{destinationId}", NAME),
        ("PUT", "/destinations/{destinationId}", NAME | CONFIGURATION),
        ("DELETE", "/destinations/{destinationId}", None),
        ("PATCH", "/connections/{connectionId}", NAME),
        ("DELETE", "/connections/{connectionId}", None),
        ("DELETE", "/workspaces/{workspaceId}", None),
        ("GET", "/jobs/{jobId}", None),
        ("DELETE", "/jobs/{jobId}", None),
    ],
)
def test_whatever_is_asked_of_an_unknown_id_answers_404_in_airbytes_format(
    judged: Any, method: str, path: str, sent: Any
) -> None:
    kind, name = path.split("/")[1].removesuffix("s"), path.partition("{")[2].rstrip("}")
    identifier = "999999" if kind == "job" else str(uuid.uuid4())
    assert unknown(judged(method, path, sent=sent, **{name: identifier}), kind, identifier)


def test_so_do_the_two_for_which_the_document_has_no_404(server: Server) -> None:
    identifier = str(uuid.uuid4())
    assert unknown(server.ask("PATCH", f"/workspaces/{identifier}", json=NAME), "workspace", identifier)
    job = {"connectionId": identifier, "jobType": "sync"}
    assert unknown(server.ask("POST", "/jobs", json=job), "connection", identifier)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("identifier", ["0", "-1", "9" * 30, "x", "1%20OR%201"])
def test_what_is_no_jobs_number_answers_404_too(server: Server, method: str, identifier: str) -> None:
    assert unknown(server.ask(method, f"/jobs/{identifier}"))
