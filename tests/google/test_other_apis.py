"""IAM, resource manager, service usage and storage."""

import json

import pytest

from tests.google.client import Google
from tests.google.conftest import PROJECT, Cloud

ACCOUNTS = f"v1/projects/{PROJECT}/serviceAccounts"
EMAIL = f"hangar-vm@{PROJECT}.iam.gserviceaccount.com"
POLICY = f"v3/projects/{PROJECT}"
BUCKET = "hangar-test-locks"


def create_account(cloud: Cloud) -> None:
    body = {"accountId": "hangar-vm", "serviceAccount": {"displayName": "Hangar's machine"}}
    assert cloud.request("POST", ACCOUNTS, json=body).json()["email"] == EMAIL


def policy(cloud: Cloud, version: int = 3) -> dict:
    body = {"options": {"requestedPolicyVersion": version}}
    return cloud.request("POST", f"{POLICY}:getIamPolicy", json=body).json()


def test_a_service_account_is_made_once(google: Google, cloud: Cloud) -> None:
    create_account(cloud)
    again = cloud.request("POST", ACCOUNTS, json={"accountId": "hangar-vm"})
    assert again.status_code == 409
    assert again.json()["error"]["status"] == "ALREADY_EXISTS"
    assert cloud.request("GET", f"{ACCOUNTS}/{EMAIL}").json()["displayName"] == "Hangar's machine"
    assert cloud.request("GET", f"v1/projects/-/serviceAccounts/{EMAIL}").json()["email"] == EMAIL
    assert cloud.request("DELETE", f"{ACCOUNTS}/{EMAIL}").json() == {}
    gone = cloud.request("GET", f"{ACCOUNTS}/{EMAIL}")
    assert (gone.status_code, gone.json()["error"]["status"]) == (404, "NOT_FOUND")
    assert google.table("serviceAccounts") == {}


def test_a_short_account_id_is_refused(cloud: Cloud) -> None:
    assert cloud.request("POST", ACCOUNTS, json={"accountId": "vm"}).status_code == 400


def test_a_policy_is_written_only_by_who_read_it_last(cloud: Cloud) -> None:
    create_account(cloud)
    mine, theirs = policy(cloud), policy(cloud)
    mine["bindings"] = [{"role": "roles/logging.logWriter", "members": [f"serviceAccount:{EMAIL}"]}]
    assert cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": mine}).status_code == 200
    stale = cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": theirs})
    assert stale.status_code == 409
    assert stale.json()["error"]["status"] == "ABORTED"
    assert policy(cloud)["bindings"] == mine["bindings"]


def test_a_policy_written_without_its_etag_is_noted(google: Google, cloud: Cloud) -> None:
    google.tolerates_violations = True
    assert (
        cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": {"bindings": []}}).status_code == 200
    )
    assert [one["kind"] for one in google.violations()] == ["etag"]


def test_a_condition_asks_for_version_3(cloud: Cloud) -> None:
    condition = {"title": "soon", "expression": 'request.time < timestamp("2027-01-01T00:00:00Z")'}
    binding = {"role": "roles/viewer", "members": ["user:ada@example.com"], "condition": condition}
    wanted = {**policy(cloud), "bindings": [binding], "version": 3}
    assert cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": wanted}).status_code == 200
    assert policy(cloud)["bindings"] == [binding]
    seen = policy(cloud, version=1)
    assert seen["bindings"][0]["role"].startswith("roles/viewer_withcond_")
    assert "condition" not in seen["bindings"][0]
    back = cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": seen})
    assert back.status_code == 400


def test_a_role_goes_to_an_account_that_exists(cloud: Cloud) -> None:
    wanted = {**policy(cloud), "bindings": [{"role": "roles/viewer", "members": [f"serviceAccount:{EMAIL}"]}]}
    answer = cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": wanted})
    assert answer.json()["error"]["message"] == f"Service account {EMAIL} does not exist."


def test_a_new_account_is_not_known_everywhere_at_once(google: Google, cloud: Cloud) -> None:
    google.delay_accounts(0.3)
    create_account(cloud)
    assert cloud.request("GET", f"{ACCOUNTS}/{EMAIL}").status_code == 200

    def grant() -> int:
        binding = {"role": "roles/viewer", "members": [f"serviceAccount:{EMAIL}"]}
        wanted = {**policy(cloud), "bindings": [binding]}
        return cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": wanted}).status_code

    assert grant() == 400
    while grant() != 200:
        pass


def test_the_projects_metadata_is_seen(google: Google, cloud: Cloud) -> None:
    google.settings(project_metadata={"enable-oslogin": "TRUE"})
    found = cloud.Projects.get(project=PROJECT).common_instance_metadata.items
    assert [(item.key, item.value) for item in found] == [("enable-oslogin", "TRUE")]


def test_a_deleted_account_stays_in_the_policy_under_another_name(cloud: Cloud) -> None:
    create_account(cloud)
    wanted = {**policy(cloud), "bindings": [{"role": "roles/viewer", "members": [f"serviceAccount:{EMAIL}"]}]}
    cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": wanted})
    cloud.request("DELETE", f"{ACCOUNTS}/{EMAIL}")
    assert policy(cloud)["bindings"][0]["members"][0].startswith(f"deleted:serviceAccount:{EMAIL}?uid=")


@pytest.mark.parametrize("version", ["v1", "v3"])
def test_permissions_are_tested_by_name(cloud: Cloud, version: str) -> None:
    path = f"{version}/projects/{PROJECT}:testIamPermissions"
    asked = ["compute.instances.create", "compute.networks.updatePolicy", "iam.serviceAccounts.actAs"]
    assert cloud.request("POST", path, json={"permissions": asked}).json() == {"permissions": asked}
    wrong = cloud.request("POST", path, json={"permissions": ["compute.instances.insert_"]})
    assert wrong.status_code == 400
    assert "is not valid for this resource" in wrong.json()["error"]["message"]


def test_a_refused_call_says_so_in_its_apis_words(google: Google, cloud: Cloud) -> None:
    google.deny("iam.serviceAccounts.create", "resourcemanager.projects.setIamPolicy")
    answer = cloud.request("POST", ACCOUNTS, json={"accountId": "hangar-vm"}).json()["error"]
    assert answer["status"] == "PERMISSION_DENIED"
    assert answer["details"][0]["metadata"]["permission"] == "iam.serviceAccounts.create"
    answer = cloud.request("POST", f"{POLICY}:setIamPolicy", json={"policy": policy(cloud)}).json()["error"]
    assert (answer["code"], answer["message"]) == (403, "The caller does not have permission")


def test_the_project_tells_its_number(cloud: Cloud) -> None:
    assert cloud.request("GET", POLICY).json()["projectId"] == PROJECT
    assert cloud.request("GET", f"v1/projects/{PROJECT}").json()["projectNumber"] == "123456789012"


def put(cloud: Cloud, content: dict, **query: str):
    return cloud.request(
        "POST",
        f"upload/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "media", "name": "locks/production.json", **query},
        data=json.dumps(content),
        headers={"Content-Type": "application/json"},
    )


def make_bucket(cloud: Cloud):
    body = {"name": BUCKET, "location": "europe-west3"}
    return cloud.request("POST", "storage/v1/b", params={"project": PROJECT}, json=body)


def test_of_two_who_take_a_lock_one_gets_it(cloud: Cloud) -> None:
    assert make_bucket(cloud).status_code == 200
    assert make_bucket(cloud).status_code == 409
    taken = put(cloud, {"who": "ada"}, ifGenerationMatch="0")
    late = put(cloud, {"who": "bob"}, ifGenerationMatch="0")
    assert (taken.status_code, late.status_code) == (200, 412)
    assert late.json()["error"]["errors"][0]["reason"] == "conditionNotMet"
    path = f"storage/v1/b/{BUCKET}/o/locks%2Fproduction.json"
    held = cloud.request("GET", path, params={"alt": "media"})
    assert held.json() == {"who": "ada"}
    assert held.headers["x-goog-generation"] == taken.json()["generation"]
    assert cloud.request("GET", path).json()["contentType"] == "application/json"
    assert cloud.request("DELETE", path, params={"ifGenerationMatch": "1"}).status_code == 412
    released = cloud.request("DELETE", path, params={"ifGenerationMatch": taken.json()["generation"]})
    assert (released.status_code, released.content) == (204, b"")
    assert cloud.request("GET", path).status_code == 404


def test_an_upload_in_two_parts_keeps_its_metadata(cloud: Cloud) -> None:
    make_bucket(cloud)
    body = (
        '--b\r\nContent-Type: application/json\r\n\r\n{"name": "lock", "metadata": {"who": "ada"}}\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n"
    )
    made = cloud.request(
        "POST",
        f"upload/storage/v1/b/{BUCKET}/o",
        params={"uploadType": "multipart"},
        data=body,
        headers={"Content-Type": "multipart/related; boundary=b"},
    )
    assert made.json()["metadata"] == {"who": "ada"}
    assert cloud.request("GET", f"storage/v1/b/{BUCKET}/o/lock", params={"alt": "media"}).content == b"hello"


def test_a_bucket_that_is_not_there(cloud: Cloud) -> None:
    assert put(cloud, {}).json()["error"]["message"] == "The specified bucket does not exist."


def test_two_people_are_told_apart(google: Google) -> None:
    for account in ("ada-lovelace", "bob-noyce"):
        Cloud(google, account).request("GET", POLICY)
    people = [call["principal"].split("@")[0] for call in google.journal()]
    assert people == ["ada-lovelace", "bob-noyce"]
