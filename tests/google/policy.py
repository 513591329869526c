"""IAM policies of anything: read with an etag, written whole, refused where somebody else wrote in between."""

import copy
import re
from functools import cache
from typing import Any

from tests.google.accounts import is_known
from tests.google.discovery import catalog
from tests.google.errors import GoogleError
from tests.google.state import State, fingerprint
from tests.google.world import Call

MOST_PERMISSIONS = 100
MEMBER = re.compile(
    r"(user|serviceAccount|group|domain|deleted:\w+|principal|principalSet):.+|allUsers|allAuthenticatedUsers"
)
ROLE = re.compile(r"roles/[\w.]+|(projects|organizations)/[\w.:-]+/roles/[\w.]+")
PERMISSION = re.compile(r"[a-z0-9-]+(\.[A-Za-z0-9]+){2,}")

MORE_COMPUTE = {
    "compute.disks.create", "compute.disks.update", "compute.disks.use", "compute.disks.useReadOnly",
    "compute.firewalls.create", "compute.firewalls.update", "compute.images.useReadOnly",
    "compute.instances.create", "compute.instances.osAdminLogin", "compute.instances.osLogin",
    "compute.instances.update", "compute.instances.use", "compute.networks.access", "compute.networks.create",
    "compute.networks.update", "compute.networks.updatePolicy", "compute.networks.use",
    "compute.networks.useExternalIp", "compute.resourcePolicies.create", "compute.resourcePolicies.update",
    "compute.resourcePolicies.use", "compute.routers.create", "compute.routers.update", "compute.routers.use",
    "compute.snapshots.create", "compute.snapshots.useReadOnly", "compute.subnetworks.create",
    "compute.subnetworks.update", "compute.subnetworks.use", "compute.subnetworks.useExternalIp",
}  # fmt: skip
"""Permissions that are not a method's own name (from Google's page of Compute's permissions)."""


def read(state: State, name: str, version: int) -> dict[str, Any]:
    """The policy. To whoever does not ask for version 3, conditions are not shown, only that there are some."""
    policy = copy.deepcopy(_kept(state, name))
    conditional = any("condition" in binding for binding in policy["bindings"])
    for binding in policy["bindings"]:
        if version < 3 and "condition" in binding:
            binding["role"] += f"_withcond_{fingerprint(binding.pop('condition'))[:8].lower()}"
    return {**policy, "version": 3 if conditional and version >= 3 else 1}


def write(call: Call, name: str, wanted: dict[str, Any]) -> dict[str, Any]:
    """Replaces the policy. Without an etag that would undo whatever others did: allowed by Google, noted here."""
    kept = _kept(call.state, name)
    if not wanted.get("etag"):
        call.world.violation("etag", call.method.id, f"The policy of {name} was written without its etag.")
    elif wanted["etag"] != kept["etag"]:
        text = (
            "There were concurrent policy changes. Please retry the whole read-modify-write with exponential "
            f"backoff. The request's ETag '{wanted['etag']}' did not match the current policy's ETag '{kept['etag']}'."
        )
        raise GoogleError(409, text, "aborted", status="ABORTED")
    bindings = [_binding(call, one) for one in wanted.get("bindings", [])]
    conditional = any("condition" in one for one in (*bindings, *kept["bindings"]))
    if conditional and wanted.get("version") != 3:
        raise GoogleError(400, "The policy has conditions: 'version' must be 3 to read and to write it.")
    policy = {"bindings": [one for one in bindings if one["members"]]}
    policy["etag"] = fingerprint([policy["bindings"], call.state.number()])
    call.state.table("iamPolicies")[name] = policy
    return read(call.state, name, 3)


def checked(asked: list[str]) -> list[str]:
    """The permissions that a test of permissions names.

    Raises:
        GoogleError: 400, there is no such permission, or there are more than a hundred.
    """
    if len(asked) > MOST_PERMISSIONS:
        raise GoogleError(400, f"The number of permissions exceeds {MOST_PERMISSIONS}.")
    for one in asked:
        known = one in _compute_permissions() if one.startswith("compute.") else PERMISSION.fullmatch(one)
        if not known:
            raise GoogleError(400, f"Permission {one} is not valid for this resource.")
    return asked


def granted(call: Call, asked: list[str]) -> dict[str, Any]:
    held = [one for one in asked if not call.rules.is_denied(call.project, one)]
    return {"permissions": held} if held else {}


@cache
def _compute_permissions() -> set[str]:
    methods = {name for name in catalog().by_id if name.startswith("compute.")}
    return methods | MORE_COMPUTE


def _kept(state: State, name: str) -> dict[str, Any]:
    found: dict[str, Any] = state.table("iamPolicies").setdefault(
        name, {"bindings": [], "etag": fingerprint(name)}
    )
    return found


def _binding(call: Call, given: dict[str, Any]) -> dict[str, Any]:
    role = given.get("role", "")
    if not ROLE.fullmatch(role) or "_withcond_" in role:
        raise GoogleError(400, f"Role ({role}) does not exist in the resource's hierarchy.")
    for member in given.get("members", []):
        if not MEMBER.fullmatch(member):
            raise GoogleError(400, f"Invalid member: '{member}'.")
        kind, _, email = member.partition(":")
        own = kind == "serviceAccount" and email.endswith(f"@{call.project}.iam.gserviceaccount.com")
        if own and email not in call.state.table("keys") and not is_known(call, email):
            raise GoogleError(400, f"Service account {email} does not exist.")
    return {
        "role": role,
        "members": sorted(set(given.get("members", []))),
        **({"condition": given["condition"]} if given.get("condition") else {}),
    }
