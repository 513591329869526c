"""Cloud Monitoring on the stand-in: what Google refuses, and what its answers leave out."""

from __future__ import annotations

from typing import Any

import pytest

from tests.google.client import Google
from tests.google.conftest import PROJECT, Cloud, cloud

__all__ = ["cloud"]

POLICIES = f"v3/projects/{PROJECT}/alertPolicies"
CHANNELS = f"v3/projects/{PROJECT}/notificationChannels"
DASHBOARDS = f"v1/projects/{PROJECT}/dashboards"
QUERY = {"query": "up == 0", "duration": "0s", "evaluationInterval": "30s"}
POLICY: dict[str, Any] = {
    "displayName": "up",
    "combiner": "OR",
    "conditions": [{"displayName": "up", "conditionPrometheusQueryLanguage": QUERY}],
}


def asked(**fields: Any) -> dict[str, Any]:
    return {"conditions": [{"displayName": "up", "conditionPrometheusQueryLanguage": {**QUERY, **fields}}]}


def test_a_policy_is_made_changed_by_its_mask_and_deleted(cloud: Cloud) -> None:
    made = cloud.request("POST", POLICIES, json=POLICY).json()
    assert made["enabled"] is True
    assert made["conditions"][0]["name"].startswith(f"{made['name']}/conditions/")
    path = f"v3/{made['name']}"
    body = {"enabled": False, "displayName": "not written"}
    changed = cloud.request("PATCH", path, params={"updateMask": "enabled"}, json=body).json()
    assert (changed["enabled"], changed["displayName"]) == (False, "up")
    assert cloud.request("DELETE", path).json() == {}
    assert cloud.request("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"displayName": ""}, "display_name"),
        ({"combiner": "COMBINE_UNSPECIFIED"}, "combiner"),
        ({"conditions": []}, "from 1 to 6"),
        (asked(evaluationInterval="45s"), "multiple of 30 seconds"),
        (asked(query="rate(x[5m]"), "query is invalid"),
        ({"userLabels": {"Hangar": "x"}}, "user_labels"),
        ({"userLabels": {"hangar": "Production"}}, "user_labels"),
        ({"alertStrategy": {"autoClose": "60s"}}, "auto_close"),
        ({"notificationChannels": [f"projects/{PROJECT}/notificationChannels/1"]}, "does not exist"),
    ],
    ids=lambda one: str(one)[:40],
)
def test_what_google_refuses_is_refused(cloud: Cloud, wrong: dict[str, Any], text: str) -> None:
    answer = cloud.request("POST", POLICIES, json=POLICY | wrong)
    assert answer.status_code == 400
    assert text in answer.json()["error"]["message"]


def test_a_field_that_google_does_not_have_is_a_violation(google: Google, cloud: Cloud) -> None:
    google.tolerates_violations = True
    answer = cloud.request("POST", POLICIES, json=POLICY | asked(expression="up"))
    assert answer.status_code == 400
    assert 'Unknown name "expression"' in answer.json()["error"]["message"]
    assert google.violations()


def test_a_channel_that_is_told_stays(cloud: Cloud) -> None:
    body = {"type": "email", "labels": {"email_address": "data@example.org"}}
    channel = cloud.request("POST", CHANNELS, json=body).json()["name"]
    policy = cloud.request("POST", POLICIES, json={**POLICY, "notificationChannels": [channel]}).json()[
        "name"
    ]
    assert cloud.request("DELETE", f"v3/{channel}").json()["error"]["status"] == "FAILED_PRECONDITION"
    cloud.request("DELETE", f"v3/{policy}")
    assert cloud.request("DELETE", f"v3/{channel}").status_code == 200
    bad = cloud.request("POST", CHANNELS, json={"type": "email", "labels": {"email_address": "data"}})
    assert bad.status_code == 400


def test_a_list_comes_in_pages(cloud: Cloud) -> None:
    for number in range(21):
        cloud.request("POST", POLICIES, json={**POLICY, "displayName": str(number)})
    first = cloud.request("GET", POLICIES, params={"pageSize": 500}).json()
    second = cloud.request("GET", POLICIES, params={"pageToken": first["nextPageToken"]}).json()
    assert (len(first["alertPolicies"]), len(second["alertPolicies"])) == (20, 1)
    assert "nextPageToken" not in second


def test_a_dashboard_is_written_under_its_etag(google: Google, cloud: Cloud) -> None:
    tile = {"xPos": 0, "yPos": 0, "width": 4, "height": 4, "widget": {"title": "a", "text": {"content": "b"}}}
    body = {"displayName": "d", "mosaicLayout": {"columns": 12, "tiles": [tile]}}
    made = cloud.request("POST", DASHBOARDS, json=body).json()
    assert "xPos" not in made["mosaicLayout"]["tiles"][0]
    path = f"v1/{made['name']}"
    assert cloud.request("PATCH", path, json={**body, "etag": made["etag"]}).status_code == 200
    stale = cloud.request("PATCH", path, json={**body, "etag": made["etag"]})
    assert (stale.status_code, stale.json()["error"]["status"]) == (409, "ABORTED")
    overlap = {**body, "mosaicLayout": {"columns": 12, "tiles": [tile, tile]}}
    assert cloud.request("POST", DASHBOARDS, json=overlap).json()["error"]["message"] == "Two tiles overlap."


def test_who_may_not_is_told_the_permission(google: Google, cloud: Cloud) -> None:
    google.deny("monitoring.dashboards.*")
    error = cloud.request("POST", DASHBOARDS, json={"displayName": "d"}).json()["error"]
    assert (error["code"], error["details"][0]["metadata"]["permission"]) == (
        403,
        "monitoring.dashboards.create",
    )
