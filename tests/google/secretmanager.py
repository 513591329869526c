"""Secret Manager: global secrets, their versions, and who may read them.

Reading a version asks for a role in a policy, of the secret or of its project: it is the one method here for which a
granted role decides. `latest` is the version that was made last, whatever its state, as the discovery document says.
"""

import base64
import re
from typing import Any

from tests.google.errors import GoogleError
from tests.google.permissions import refusal
from tests.google.policy import checked, granted, read, write
from tests.google.state import fingerprint, utc_time
from tests.google.world import PERMISSIONS, Call, handles

PREFIX = "secretmanager.projects.secrets."
VERSIONS = f"{PREFIX}versions."
ID = re.compile(r"[A-Za-z0-9_-]{1,255}")
MOST = 65536
"""Bytes of a payload."""

READERS = ("roles/secretmanager.secretAccessor", "roles/secretmanager.admin", "roles/owner")


def _secrets(call: Call) -> dict[str, Any]:
    return call.state.table("secrets")


def _secret(call: Call, name: str) -> dict[str, Any]:
    """A secret by projects/P/secrets/S (versions/V behind it does not matter)."""
    path = "/".join(name.split("/")[:4])
    found: dict[str, Any] | None = _secrets(call).get(path)
    if found is None:
        raise GoogleError(404, f"Secret [{_numbered(call, path)}] not found.", "notFound")
    return found


def _numbered(call: Call, path: str) -> str:
    """As Google says it: with the project's number."""
    number = call.state.table("projects")[call.project]["number"]
    return re.sub(r"^projects/[^/]+", f"projects/{number}", path)


def _shown(call: Call, path: str, secret: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": _numbered(call, path), "createTime": secret["made"], "etag": f'"{fingerprint(path)}"',
        "replication": {"automatic": {}},
    }  # fmt: skip


@handles(f"{PREFIX}create")
def create(call: Call) -> dict[str, Any]:
    wanted = call.values.get("secretId", "")
    if not ID.fullmatch(wanted):
        raise GoogleError(400, f"Secret ID [{wanted}] must match the regular expression {ID.pattern}.")
    if not call.body.get("replication"):
        raise GoogleError(400, "The replication policy is required.")
    path = f"{call.values['parent']}/secrets/{wanted}"
    if path in _secrets(call):
        raise GoogleError(409, f"Secret [{_numbered(call, path)}] already exists.", "alreadyExists")
    _secrets(call)[path] = {"made": utc_time(), "versions": []}
    return _shown(call, path, _secrets(call)[path])


@handles(f"{PREFIX}get")
def get(call: Call) -> dict[str, Any]:
    return _shown(call, call.values["name"], _secret(call, call.values["name"]))


@handles(f"{PREFIX}addVersion")
def add_version(call: Call) -> dict[str, Any]:
    path = call.values["parent"]
    versions = _secret(call, path)["versions"]
    data = call.body.get("payload", {}).get("data", "")
    if not data or len(base64.b64decode(data)) > MOST:
        raise GoogleError(400, f"The payload must have 1 to {MOST} bytes.")
    versions.append({"state": "ENABLED", "data": data, "made": utc_time()})
    return _version(call, path, len(versions))


def _version(call: Call, path: str, number: int) -> dict[str, Any]:
    kept = _secret(call, path)["versions"][number - 1]
    name = f"{_numbered(call, '/'.join(path.split('/')[:4]))}/versions/{number}"
    return {
        "name": name,
        "createTime": kept["made"],
        "state": kept["state"],
        "etag": f'"{fingerprint(name)}"',
    }


def _number(call: Call) -> int:
    name = call.values["name"]
    versions, wanted = _secret(call, name)["versions"], name.rpartition("/")[2]
    number = len(versions) if wanted == "latest" else int(wanted) if wanted.isdigit() else 0
    if not 0 < number <= len(versions):
        text = f"Secret Version [{_numbered(call, name)}] not found."
        if wanted == "latest":
            secret = _numbered(call, name.partition("/versions/")[0])
            text = f"Secret [{secret}] not found or has no versions."
        raise GoogleError(404, text, "notFound")
    return number


@handles(f"{VERSIONS}get")
def get_version(call: Call) -> dict[str, Any]:
    return _version(call, call.values["name"], _number(call))


@handles(f"{VERSIONS}access")
def access(call: Call) -> dict[str, Any]:
    _require_reader(call)
    number = _number(call)
    shown = _version(call, call.values["name"], number)
    if shown["state"] != "ENABLED":
        text = f"Secret Version [{shown['name']}] is in {shown['state']} state."
        raise GoogleError(400, text, status="FAILED_PRECONDITION")
    kept = _secret(call, call.values["name"])["versions"][number - 1]
    return {"name": shown["name"], "payload": {"data": kept["data"]}}


def _require_reader(call: Call) -> None:
    """Whoever may not read it is not told whether it is there."""
    path = "/".join(call.values["name"].split("/")[:4])
    members = {f"serviceAccount:{call.principal}", f"user:{call.principal}"}
    for place in (path, f"projects/{call.project}"):
        for binding in read(call.state, place, 3)["bindings"]:
            if binding["role"] in READERS and members & set(binding["members"]):
                return
    raise refusal(call, "secretmanager.versions.access", call.values["name"])


@handles(f"{VERSIONS}disable", f"{VERSIONS}enable", f"{VERSIONS}destroy")
def change_version(call: Call) -> dict[str, Any]:
    number, verb = _number(call), call.method.id.rpartition(".")[2]
    kept = _secret(call, call.values["name"])["versions"][number - 1]
    if kept["state"] == "DESTROYED":
        raise GoogleError(400, "The version is destroyed.", status="FAILED_PRECONDITION")
    kept["state"] = {"disable": "DISABLED", "enable": "ENABLED", "destroy": "DESTROYED"}[verb]
    return _version(call, call.values["name"], number)


@handles(f"{PREFIX}getIamPolicy")
def get_policy(call: Call) -> dict[str, Any]:
    _secret(call, call.values["resource"])
    return read(
        call.state, call.values["resource"], int(call.values.get("options.requestedPolicyVersion", 1))
    )


@handles(f"{PREFIX}setIamPolicy")
def set_policy(call: Call) -> dict[str, Any]:
    _secret(call, call.values["resource"])
    return write(call, call.values["resource"], call.body.get("policy", {}))


@handles(f"{PREFIX}testIamPermissions")
def test_permissions(call: Call) -> dict[str, Any]:
    """Of a secret that is not there nothing is held, as the discovery document says; that is no error."""
    asked = checked(call.body.get("permissions", []))
    for one in asked:
        if not one.startswith("secretmanager."):
            raise GoogleError(400, f"Permission {one} is not valid for this resource.")
    return granted(call, asked) if call.values["resource"] in _secrets(call) else {}


PERMISSIONS[f"{PREFIX}addVersion"] = lambda _: ["secretmanager.versions.add"]
