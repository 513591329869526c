"""Policies, read, changed and written under their etag; and the roles of the machine's account in one."""

import json
import re
from collections.abc import Callable, Iterable
from typing import Any

from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict
from hangar.errors import CloudError

Policy = dict[str, Any]

UNDER = " under a condition"

TRIES = 12
"""Others write the same policy."""

VERSION = 3
"""The form that keeps other people's conditions; an older one would lose them."""


def get(api: Api) -> Policy:
    path = f"v3/{api.root}:getIamPolicy"
    return api.rest.call(
        "POST", "cloudresourcemanager", path, {"options": {"requestedPolicyVersion": VERSION}}
    )


def roles_in(policy: Policy, email: str, *, apart: bool = False) -> tuple[str, ...]:
    """The roles that a policy gives to an account, those under a condition included; `apart` says that of them, since
    such a role may end or not hold everywhere.
    """
    member = f"serviceAccount:{email}"
    bindings = [one for one in policy.get("bindings") or () if member in (one.get("members") or ())]
    held = {f"{one['role']}{UNDER if apart and one.get('condition') else ''}" for one in bindings}
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
    exactly = tuple(roles)
    change(api, email, lambda policy: with_roles(policy, email, exactly))


def change(api: Api, whom: str, changed: Callable[[Policy], Policy]) -> None:
    """Reads the policy, and writes what `changed` makes of it where that says something else.

    Raises:
        CloudError: Google refused, or others kept writing between our reading and our writing.
    """
    rewrite(
        lambda: get(api),
        lambda wanted: api.rest.call(
            "POST", "cloudresourcemanager", f"v3/{api.root}:setIamPolicy", {"policy": wanted}
        ),
        changed,
        whom,
    )


def rewrite(
    read: Callable[[], Policy],
    write: Callable[[Policy], object],
    changed: Callable[[Policy], Policy],
    whom: str,
) -> None:
    """As `change`, for the policy of anything: `read` and `write` know where it is."""
    for _ in range(TRIES):
        there = read()
        wanted = changed(there)
        if _said(wanted) == _said(there):
            return
        try:
            write(wanted)
        except Conflict:
            continue  # somebody wrote it between our reading and our writing
        else:
            return
    raise CloudError(
        f"The IAM policy could not be written in {TRIES} tries.",
        f"* For: {whom}",
        "Somebody else keeps changing it. Run the same command again.",
    )


def _said(policy: Policy) -> list[str]:
    """The bindings in a form that does not depend on an order."""
    bindings = policy.get("bindings") or ()
    return sorted(
        json.dumps({**one, "members": sorted(one.get("members") or ())}, sort_keys=True) for one in bindings
    )
