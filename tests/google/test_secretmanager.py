"""Secret Manager on the stand-in: who reads, and which version."""

import base64

import pytest

from tests.google.client import Google
from tests.google.conftest import PROJECT, Cloud, cloud

__all__ = ["cloud"]

SECRETS = f"v1/projects/{PROJECT}/secrets"
ERP = f"{SECRETS}/erp"
READER = f"serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com"


def add(cloud: Cloud, value: str) -> dict:
    body = {"payload": {"data": base64.b64encode(value.encode()).decode()}}
    return cloud.request("POST", f"{ERP}:addVersion", json=body).json()


def admit(cloud: Cloud, *members: str) -> None:
    found = cloud.request("GET", f"{ERP}:getIamPolicy").json()
    found["bindings"] = [{"role": "roles/secretmanager.secretAccessor", "members": list(members)}]
    assert cloud.request("POST", f"{ERP}:setIamPolicy", json={"policy": found}).status_code == 200


@pytest.fixture
def erp(cloud: Cloud) -> Cloud:
    made = cloud.request("POST", SECRETS, params={"secretId": "erp"}, json={"replication": {"automatic": {}}})
    assert made.json()["name"] == "projects/123456789012/secrets/erp"
    return cloud


def said(answer) -> tuple[int, str, str]:
    error = answer.json()["error"]
    return answer.status_code, error["status"], error["message"]


def test_only_who_has_a_role_on_the_secret_reads_it(erp: Cloud) -> None:
    assert add(erp, "one")["name"].endswith("/versions/1")
    status, kind, text = said(erp.request("GET", f"{ERP}/versions/latest:access"))
    assert (status, kind) == (403, "PERMISSION_DENIED")
    assert text.startswith("Permission 'secretmanager.versions.access' denied on resource")
    admit(erp, READER)
    found = erp.request("GET", f"{ERP}/versions/latest:access").json()
    assert base64.b64decode(found["payload"]["data"]) == b"one"


def test_latest_is_the_version_made_last_whatever_its_state(erp: Cloud) -> None:
    admit(erp, READER)
    assert said(erp.request("GET", f"{ERP}/versions/latest:access"))[0] == 404
    add(erp, "one")
    add(erp, "two")
    assert erp.request("GET", f"{ERP}/versions/latest").json()["name"].endswith("/versions/2")
    erp.request("POST", f"{ERP}/versions/2:disable", json={})
    status, kind, text = said(erp.request("GET", f"{ERP}/versions/latest:access"))
    assert (status, kind) == (400, "FAILED_PRECONDITION")
    assert text == "Secret Version [projects/123456789012/secrets/erp/versions/2] is in DISABLED state."
    assert erp.request("GET", f"{ERP}/versions/1:access").status_code == 200


def test_a_secret_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    assert said(cloud.request("GET", ERP)) == (
        404, "NOT_FOUND", "Secret [projects/123456789012/secrets/erp] not found.",
    )  # fmt: skip


def test_an_api_that_is_off_says_so(google: Google, cloud: Cloud) -> None:
    google.disable("secretmanager.googleapis.com")
    status, kind, text = said(cloud.request("GET", ERP))
    assert (status, kind) == (403, "PERMISSION_DENIED")
    assert text.startswith("Secret Manager API has not been used in project hangar-test before")


def test_permissions_are_tested_on_the_secret_itself(google: Google, erp: Cloud) -> None:
    asked = ["secretmanager.versions.get", "secretmanager.secrets.setIamPolicy"]
    test = f"{ERP}:testIamPermissions"
    assert erp.request("POST", test, json={"permissions": asked}).json() == {"permissions": asked}
    google.deny("secretmanager.secrets.setIamPolicy")
    assert erp.request("POST", test, json={"permissions": asked}).json() == {"permissions": asked[:1]}
    absent = erp.request("POST", f"{SECRETS}/other:testIamPermissions", json={"permissions": asked})
    assert (absent.status_code, absent.json()) == (200, {})
    wrong = erp.request("POST", test, json={"permissions": ["compute.instances.get"]})
    assert said(wrong)[2] == "Permission compute.instances.get is not valid for this resource."
