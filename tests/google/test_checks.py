"""The stand-in judges requests by Google's documents, and who sends them."""

import json

import pytest
import requests
from google.auth.exceptions import RefreshError
from google.auth.transport.requests import Request

from tests.google import handlers
from tests.google.client import Google
from tests.google.conftest import PROJECT, REGION, ZONE, Cloud
from tests.google.discovery import catalog
from tests.google.schema import problems
from tests.google.world import HANDLERS, PERMISSIONS

NETWORKS = f"compute/v1/projects/{PROJECT}/global/networks"
INSTANCES = f"compute/v1/projects/{PROJECT}/zones/{ZONE}/instances"


@pytest.fixture(autouse=True)
def _wrong_on_purpose(google: Google) -> None:
    google.tolerates_violations = True


def test_a_call_without_a_bearer_is_refused(google: Google) -> None:
    answer = requests.get(f"{google.base_url}/{NETWORKS}", timeout=5)
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


@pytest.mark.parametrize("bearer", ["ya29.made-up", "e30.e30.e30"])
def test_a_bearer_that_nobody_issued_is_refused(google: Google, bearer: str) -> None:
    answer = requests.get(
        f"{google.base_url}/{NETWORKS}", headers={"Authorization": f"Bearer {bearer}"}, timeout=5
    )
    assert answer.status_code == 401


def test_an_assertion_by_another_key_gets_no_token(google: Google, cloud: Cloud) -> None:
    google.key_file("stranger")
    stranger = Cloud(google, "stranger").credentials
    stranger._signer = cloud.credentials.signer
    with pytest.raises(RefreshError, match="Invalid JWT Signature"):
        stranger.refresh(Request())
    cloud.credentials.refresh(Request())
    assert cloud.credentials.valid


def test_a_path_of_no_document_is_noted(google: Google, cloud: Cloud) -> None:
    assert cloud.request("GET", f"compute/v1/projects/{PROJECT}/global/netwerks").status_code == 404
    assert [one["kind"] for one in google.violations()] == ["path"]


def test_a_method_that_is_not_imitated_says_so(google: Google, cloud: Cloud) -> None:
    assert cloud.request("GET", f"compute/v1/projects/{PROJECT}/global/sslPolicies").status_code == 501
    assert google.violations()[0]["kind"] == "not imitated"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            {"name": "net", "autoCreateSubnetworks": False, "colour": "red"},
            "Invalid JSON payload received. Unknown name \"colour\" at 'resource': Cannot find field.",
        ),
        (
            {"name": "net", "autoCreateSubnetworks": "false"},
            "Invalid value at 'resource.autoCreateSubnetworks' (wanted boolean), 'false'",
        ),
        (
            {"name": "net", "autoCreateSubnetworks": False, "routingConfig": {"routingMode": "LOCAL"}},
            "Invalid value for field 'resource.routingConfig.routingMode': 'LOCAL'. Must be one of: GLOBAL, REGIONAL",
        ),
        ({"autoCreateSubnetworks": False}, "Required field 'resource.name' not specified"),
        (
            {"name": "Net", "autoCreateSubnetworks": False},
            "Invalid value for field 'resource.name': 'Net'. Must be a match of regex "
            "'[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?'",
        ),
    ],
)
def test_a_body_must_be_what_the_document_says(
    google: Google, cloud: Cloud, body: dict[str, object], message: str
) -> None:
    answer = cloud.request("POST", NETWORKS, json=body)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"] == message
    assert [one["message"] for one in google.violations()] == [message]
    assert google.resources() == {}


def test_int64_goes_as_text(cloud: Cloud) -> None:
    body = {"name": "disk", "sizeGb": 10}
    answer = cloud.request("POST", f"compute/v1/projects/{PROJECT}/zones/{ZONE}/disks", json=body)
    assert answer.json()["error"]["message"] == "Invalid value at 'resource.sizeGb' (wanted string), 10"


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ({"colour": "red"}, 'Unknown name "colour": Cannot bind query parameter.'),
        ({"maxResults": "many"}, "Invalid value at 'maxResults' (wanted integer), 'many'"),
        ({"maxResults": "-1"}, "Invalid value for field 'maxResults': '-1'."),
        ({"prettyPrint": "yes"}, "Invalid value at 'prettyPrint' (wanted boolean), 'yes'"),
    ],
)
def test_a_query_must_be_what_the_document_says(cloud: Cloud, query: dict[str, str], message: str) -> None:
    answer = cloud.request("GET", INSTANCES, params=query)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]


def test_a_required_query_parameter_is_missed(cloud: Cloud) -> None:
    answer = cloud.request("POST", "storage/v1/b", json={"name": "hangar-lock"})
    assert answer.json()["error"]["message"] == "Required parameter: project"


def test_a_body_that_is_no_json_is_refused(cloud: Cloud) -> None:
    answer = cloud.request("POST", NETWORKS, data="{", headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["errors"][0]["reason"] == "parseError"


def test_what_only_google_sets_is_ignored(google: Google, cloud: Cloud) -> None:
    body = {"name": "net", "autoCreateSubnetworks": False, "id": "1", "selfLink": "https://elsewhere/"}
    assert cloud.request("POST", NETWORKS, json=body).status_code == 200
    made = google.resources("networks")["net"]
    assert made["id"] != "1"
    assert made["selfLink"].endswith("/global/networks/net")


def test_an_answer_that_the_document_does_not_allow_is_not_sent(google: Google, cloud: Cloud) -> None:
    cloud.make_network()
    google.edit(f"projects/{PROJECT}/regions/{REGION}/subnetworks/sub", purpose="PLEASURE")
    answer = cloud.request("GET", f"compute/v1/projects/{PROJECT}/regions/{REGION}/subnetworks/sub")
    assert answer.status_code == 500
    assert google.violations()[0]["kind"] == "response"


def test_part_of_an_answer_can_be_asked_for(cloud: Cloud) -> None:
    cloud.make_network()
    answer = cloud.request("GET", NETWORKS, params={"fields": "kind,items(name,routingConfig/routingMode)"})
    assert answer.json() == {
        "kind": "compute#networkList",
        "items": [{"name": "net", "routingConfig": {"routingMode": "REGIONAL"}}],
    }


def test_every_method_of_the_documents_has_a_path_of_its_own() -> None:
    for method in catalog().by_id.values():
        if method.id.startswith("compute.") and "{+" not in method.path:
            filled = method.path.replace("{", "x").replace("}", "x")
            found = catalog().find(method.http, filled)
            assert found, method.id
            assert found[0].id == method.id


def test_what_is_answered_is_a_method_of_the_documents() -> None:
    assert handlers.LOADED
    assert set(HANDLERS) <= set(catalog().by_id)
    assert set(PERMISSIONS) <= set(catalog().by_id)


def test_whole_numbers_stay_in_their_range() -> None:
    document = catalog().by_id["compute.firewalls.insert"].document
    schema = {"$ref": "Firewall"}
    assert problems({"priority": 65535}, schema, document, "resource") == []
    assert len(problems({"priority": 2**31}, schema, document, "resource")) == 1
    assert len(problems({"priority": True}, schema, document, "resource")) == 1
    assert len(problems(json.loads('{"priority": 1.5}'), schema, document, "resource")) == 1
