"""Resource manager: the project and its IAM policy, in version 3 and in version 1."""

from typing import Any

from tests.google.policy import checked, granted, read, write
from tests.google.state import fingerprint
from tests.google.world import PERMISSIONS, Call, handles

PREFIX = "cloudresourcemanager.projects."
MADE = "2026-01-02T03:04:05.678Z"
ORGANISATION = "987654321098"


@handles(PREFIX + "get")
def get(call: Call) -> dict[str, Any]:
    number = call.state.table("projects")[call.project]["number"]
    return {
        "name": f"projects/{number}",
        "parent": f"organizations/{ORGANISATION}",
        "projectId": call.project,
        "state": "ACTIVE",
        "displayName": call.project,
        "createTime": MADE,
        "updateTime": MADE,
        "etag": fingerprint(number),
    }


@handles(PREFIX + "get.v1")
def get_v1(call: Call) -> dict[str, Any]:
    return {
        "projectNumber": call.state.table("projects")[call.project]["number"],
        "projectId": call.project,
        "lifecycleState": "ACTIVE",
        "name": call.project,
        "createTime": MADE,
        "parent": {"type": "organization", "id": ORGANISATION},
    }


@handles(PREFIX + "getIamPolicy", PREFIX + "getIamPolicy.v1")
def get_policy(call: Call) -> dict[str, Any]:
    version = call.body.get("options", {}).get("requestedPolicyVersion", 1)
    return read(call.state, f"projects/{call.project}", version)


@handles(PREFIX + "setIamPolicy", PREFIX + "setIamPolicy.v1")
def set_policy(call: Call) -> dict[str, Any]:
    return write(call, f"projects/{call.project}", call.body.get("policy", {}))


@handles(PREFIX + "testIamPermissions", PREFIX + "testIamPermissions.v1")
def test_permissions(call: Call) -> dict[str, Any]:
    return granted(call, checked(call.body.get("permissions", [])))


for _suffix in ("", ".v1"):
    for _verb in ("get", "getIamPolicy", "setIamPolicy"):
        PERMISSIONS[f"{PREFIX}{_verb}{_suffix}"] = lambda call: [
            f"resourcemanager.projects.{call.method.id.removesuffix('.v1').split('.')[-1]}"
        ]
