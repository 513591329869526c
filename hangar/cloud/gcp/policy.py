"""The roles of the machine's service account in the project's policy: read, changed and written under its etag."""

import re
from collections.abc import Iterable
from typing import Any

from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict
from hangar.errors import CloudError

Policy = dict[str, Any]

TRIES = 12
"""Others write the same policy."""

VERSION = 3
"""The form that keeps other people's conditions; an older one would lose them."""


def get(api: Api) -> Policy:
    path = f"v3/{api.root}:getIamPolicy"
    return api.rest.call(
        "POST", "cloudresourcemanager", path, {"options": {"requestedPolicyVersion": VERSION}}
    )


def roles_of(api: Api, email: str) -> tuple[str, ...]:
    """The roles that the project's policy gives to an account, those under a condition included."""
    return roles_in(get(api), email)


def roles_in(policy: Policy, email: str) -> tuple[str, ...]:
    member = f"serviceAccount:{email}"
    held = {one["role"] for one in policy.get("bindings") or () if member in (one.get("members") or ())}
    return tuple(sorted(held))


def with_roles(policy: Policy, email: str, roles: Iterable[str]) -> Policy:
    """The policy in which the account has exactly these roles, and everything else is as it was.

    What is left of an account of the same name that was deleted goes too: its grants would not reach the new one.
    """
    member = f"serviceAccount:{email}"
    gone = re.compile(rf"deleted:serviceAccount:{re.escape(email)}\?uid=\d+")
    missing = set(roles)
    bindings = []
    for binding in policy.get("bindings") or ():
        plain = not binding.get("condition")
        keep = plain and binding["role"] in missing
        members = [one for one in binding.get("members") or () if one != member and not gone.fullmatch(one)]
        if keep:
            members.append(member)
            missing.discard(binding["role"])
        if members:
            bindings.append({**binding, "members": members})
    bindings += [{"role": role, "members": [member]} for role in sorted(missing)]
    return {**policy, "bindings": bindings, "version": VERSION}


def ensure(api: Api, email: str, roles: Iterable[str]) -> None:
    """The account has exactly these roles in the project."""
    roles = tuple(sorted(roles))
    for _ in range(TRIES):
        policy = get(api)
        if roles_in(policy, email) == roles and with_roles(policy, email, roles)["bindings"] == policy.get(
            "bindings"
        ):
            return
        try:
            api.rest.call(
                "POST", "cloudresourcemanager", f"v3/{api.root}:setIamPolicy",
                {"policy": with_roles(policy, email, roles)},
            )  # fmt: skip
        except Conflict:
            continue  # somebody wrote it between our reading and our writing
        else:
            return
    raise CloudError(
        f"The project's IAM policy could not be written in {TRIES} tries.",
        f"* For: {email}",
        "Somebody else keeps changing it. Run the same command again.",
    )
