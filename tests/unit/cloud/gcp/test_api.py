"""The calling layer against a session that answers as it is told: retries, request ids, operations, pages."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests as http

from hangar.cloud.gcp import api as module
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import GoogleRefused, NotReady
from hangar.errors import CloudError

OPERATION = {
    "name": "operation-1", "operationType": "insert", "zone": "https://www.googleapis.com/compute/v1/projects/p/zones/z",
    "targetLink": "https://www.googleapis.com/compute/v1/projects/p/zones/z/instances/vm", "status": "RUNNING",
    "selfLink": "https://www.googleapis.com/compute/v1/projects/p/zones/z/operations/operation-1",
}  # fmt: skip


class Session:
    """Answers in order; the last repeats. An exception is raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, Any]]] = []

    def renew(self) -> None: ...

    def request(
        self,
        method: str,
        url: str,
        params: dict[str, Any],
        body: Any,
        content: Any,
        timeout: tuple[float, float],
    ) -> http.Response:
        self.asked.append((method, url, dict(params)))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        status, data = answer
        response = http.Response()
        response.status_code = status
        response._content = data if isinstance(data, bytes) else json.dumps(data).encode()
        return response


def make(*answers: Any) -> tuple[Api, Session, list[float]]:
    session, slept = Session(*answers), []
    api = Api("p", None, session)  # type: ignore[arg-type]
    api.sleep = slept.append  # type: ignore[assignment]
    return api, session, slept


def refused(status: int, reason: str = "") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"code": status, "message": "no", "errors": [{"reason": reason}]}}


@pytest.mark.parametrize(
    "failure",
    [refused(503), refused(429), refused(500), (502, b"<html>"), refused(403, "rateLimitExceeded"),
     refused(400, "resourceNotReady"), http.ConnectionError("reset"), http.ReadTimeout("slow")],
)  # fmt: skip
def test_what_can_pass_is_tried_again_ever_more_slowly(failure: Any) -> None:
    api, session, slept = make(failure, failure, (200, {"name": "x"}))
    assert api.call("GET", "compute", "projects/p/x") == {"name": "x"}
    assert len(session.asked) == 3
    assert module.PAUSES[0] <= slept[0] <= 2 * module.PAUSES[0]
    assert module.PAUSES[1] <= slept[1] <= 2 * module.PAUSES[1]


@pytest.mark.parametrize(
    "failure", [refused(403, "forbidden"), refused(400, "invalid"), refused(409), refused(404)]
)
def test_a_plain_no_is_not_asked_again(failure: Any) -> None:
    api, session, slept = make(failure)
    with pytest.raises(GoogleRefused):
        api.call("GET", "compute", "x")
    assert (len(session.asked), slept) == (1, [])


def test_what_never_passes_is_given_up_with_its_reason() -> None:
    api, session, _ = make(refused(400, "resourceNotReady"))
    with pytest.raises(NotReady):
        api.call("GET", "compute", "x")
    assert len(session.asked) == len(module.PAUSES) + 1


def test_a_call_that_is_repeated_carries_the_same_request_id_and_another_call_another() -> None:
    api, session, _ = make(refused(503), (200, OPERATION))
    api.begin("POST", "projects/p/zones/z/instances", {"name": "vm"})
    api.begin("POST", "projects/p/zones/z/instances", {"name": "vm"})
    first, again, second = [params["requestId"] for _, _, params in session.asked]
    assert first == again != second


def test_an_operation_is_waited_for_where_the_endpoint_is_and_not_where_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "gateway.example.org")
    session = Session((200, OPERATION), (200, {**OPERATION, "status": "DONE"}))
    Api("p", "https://gateway.example.org", session).finish(OPERATION)  # type: ignore[arg-type]
    assert {url for _, url, _ in session.asked} == {
        "https://gateway.example.org/compute/v1/projects/p/zones/z/operations/operation-1/wait"
    }


def test_an_operation_that_outlives_our_patience_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    api, _, _ = make((200, OPERATION))
    clock = iter(range(0, 100_000, 400))
    monkeypatch.setattr(module.time, "monotonic", lambda: next(clock))
    with pytest.raises(CloudError) as endless:
        api.finish(OPERATION)
    assert endless.value.brief == "Google has been at work for 15 minutes on: insert vm."
    assert endless.value.resolution.startswith(
        "Look at it: gcloud compute operations describe operation-1 --zone=z --project p"
    )


def test_every_page_of_a_list_is_read() -> None:
    api, session, _ = make(
        (200, {"items": [{"name": "a"}], "nextPageToken": "2"}), (200, {"items": [{"name": "b"}]})
    )
    assert [one["name"] for one in api.items("projects/p/global/snapshots", {"filter": "x"})] == ["a", "b"]
    assert [params for _, _, params in session.asked] == [{"filter": "x"}, {"filter": "x", "pageToken": "2"}]


def test_a_redirect_is_not_followed() -> None:
    """It could lead the credentials elsewhere."""
    api, _, _ = make((302, b""))
    with pytest.raises(GoogleRefused):
        api.call("GET", "compute", "x")
