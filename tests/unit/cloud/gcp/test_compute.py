"""Calls through Google's client: request ids, pages, operations, and where they are asked."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from hangar.cloud.gcp import calling, compute
from hangar.cloud.gcp.compute import Compute, address
from hangar.errors import CloudError
from tests.unit.cloud.gcp.line import Line, refused, session

LINK = "https://www.googleapis.com/compute/v1/projects/p/zones/z"
OPERATION = {
    "name": "operation-1", "operationType": "insert", "zone": LINK, "targetLink": f"{LINK}/instances/vm",
    "status": "RUNNING", "selfLink": f"{LINK}/operations/operation-1",
}  # fmt: skip
DISK = "projects/p/zones/z/disks/d"


def query(line: Line) -> list[dict[str, list[str]]]:
    return [parse_qs(urlsplit(str(one.url)).query) for one in line.asked]


@pytest.mark.parametrize(
    ("path", "kind", "fields"),
    [
        ("projects/p", "projects", {"project": "p"}),
        ("projects/p/zones", "zones", {"project": "p"}),
        ("projects/p/zones/z", "zones", {"project": "p", "zone": "z"}),
        (DISK, "disks", {"project": "p", "zone": "z", "disk": "d"}),
        ("projects/p/global/networks/n", "networks", {"project": "p", "network": "n"}),
        ("projects/p/regions/r/resourcePolicies", "resourcePolicies", {"project": "p", "region": "r"}),
    ],
)
def test_a_path_says_what_is_meant(path: str, kind: str, fields: dict[str, str]) -> None:
    assert address(path) == (kind, fields)


def test_a_call_that_is_repeated_carries_the_same_request_id_and_another_call_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(calling, "FIRST", 0.001)
    line = Line(refused(503), (200, OPERATION))
    client = Compute(session(line))
    client.begin("insert", "projects/p/zones/z/disks", {"name": "d"})
    client.begin("insert", "projects/p/zones/z/disks", {"name": "d"})
    first, again, second = [one["requestId"] for one in query(line)]
    assert first == again != second


def test_what_google_answers_comes_back_in_its_own_words() -> None:
    found = {"name": "d", "sizeGb": "100", "labels": {"a": "b"}, "status": "READY", "id": "7"}
    assert Compute(session(Line((200, found)))).get(DISK) == found


def test_a_body_reaches_google_as_it_is_written() -> None:
    line = Line((200, OPERATION))
    body = {
        "name": "r",
        "network": "n",
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
        "disabled": False,
    }
    Compute(session(line)).begin("insert", "projects/p/global/firewalls", body)
    assert json.loads(line.asked[0].body or b"") == body


def test_a_field_that_google_does_not_know_never_leaves() -> None:
    line = Line((200, OPERATION))
    with pytest.raises(Exception, match="no field named"):
        Compute(session(line)).begin("insert", "projects/p/zones/z/disks", {"name": "d", "invented": 1})
    assert line.asked == []


@pytest.mark.parametrize("where", [None, "https://gateway.example.org", "https://gateway.example.org/google"])
@pytest.mark.parametrize("scope", ["zone", "region", None])
def test_everything_is_asked_at_one_address_and_so_is_an_operation(
    scope: str | None, where: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library's own operations would ask at Google's address."""
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "gateway.example.org")
    named = {key: value for key, value in OPERATION.items() if key != "zone"}
    operation = (
        {**named, scope: f"https://www.googleapis.com/compute/v1/projects/p/{scope}s/z"} if scope else named
    )
    line = Line((200, operation), (200, operation), (200, {**operation, "status": "DONE"}))
    Compute(session(line, where)).do("insert", "projects/p/zones/z/disks", {"name": "d"})
    root = f"{where or 'https://compute.googleapis.com'}/compute/v1/projects/p"
    place = f"{scope}s/z" if scope else "global"
    waited = f"{root}/{place}/operations/operation-1/wait"
    assert line.urls == [f"{root}/zones/z/disks", waited, waited]


def test_an_operation_that_outlives_our_patience_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Compute(session(Line((200, OPERATION))))
    clock = iter(range(0, 100_000, 400))
    monkeypatch.setattr(compute, "time", type("Time", (), {"monotonic": staticmethod(lambda: next(clock))}))
    with pytest.raises(CloudError) as endless:
        client.finish(OPERATION)
    assert endless.value.brief == "Google has been at work for 15 minutes on: insert instances/vm."
    assert endless.value.resolution.startswith(
        "Look at it: gcloud compute operations describe operation-1 --zone=z --project p"
    )


def test_every_page_of_a_list_is_read() -> None:
    line = Line((200, {"items": [{"name": "a"}], "nextPageToken": "2"}), (200, {"items": [{"name": "b"}]}))
    found = Compute(session(line)).items("projects/p/global/snapshots", "x")
    assert [one["name"] for one in found] == ["a", "b"]
    assert [one.get("pageToken") for one in query(line)] == [None, ["2"]]
    assert [one["filter"] for one in query(line)] == [["x"], ["x"]]


def test_disks_are_found_in_whatever_zone_they_are() -> None:
    scopes = {"zones/a": {"disks": [{"name": "one"}]}, "zones/b": {}, "zones/c": {"disks": [{"name": "two"}]}}
    found = Compute(session(Line((200, {"items": scopes})))).items_everywhere("disks", "x")
    assert {one["name"] for one in found} == {"one", "two"}


def test_a_label_is_set_on_what_the_library_calls_a_resource() -> None:
    line = Line((200, OPERATION))
    Compute(session(line)).begin("set_labels", DISK, {"labels": {"a": "b"}, "labelFingerprint": "f"})
    assert line.urls == [f"https://compute.googleapis.com/compute/v1/{DISK}/setLabels"]
