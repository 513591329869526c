"""Who comes through IAP's tunnel: one binding of the project's policy, an environment's own, holds exactly its people.

The binding is known by its condition. Whatever else the policy says (an owner's rights, a group's binding that somebody
made by hand) is not looked at and stays.
"""

from collections.abc import Iterable
from typing import Any

from hangar.cloud.gcp import policy
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.names import Names
from hangar.config.people import Person
from hangar.plan import Change

Policy = policy.Policy

ROLE = "roles/iap.tunnelResourceAccessor"
PORT = "destination.port == 22"
"""The tunnel leads to SSH alone (https://cloud.google.com/iap/docs/using-tcp-forwarding, conditions)."""


def users(people: Iterable[Person]) -> tuple[str, ...]:
    """The addresses of those who may come today. Google's accounts know no upper case."""
    return tuple(sorted({one.email.lower() for one in people if one.email and not one.is_expired}))


def condition(names: Names) -> dict[str, Any]:
    return {"title": names.machine, "description": names.description, "expression": PORT}


def users_in(found: Policy, names: Names) -> tuple[str, ...]:
    """Whom the environment's binding admits, by address; whoever is no user is named with their kind."""
    members = [one for binding in _ours(found, names) for one in binding.get("members") or ()]
    return tuple(sorted({one.removeprefix("user:").lower() for one in members}))


def with_users(found: Policy, names: Names, wanted: Iterable[str]) -> Policy:
    """The policy in which the environment's binding admits exactly these; without any there is none."""
    ours = _ours(found, names)
    bindings = [one for one in found.get("bindings") or () if one not in ours]
    if members := [f"user:{email}" for email in sorted(wanted)]:
        bindings.append({"role": ROLE, "members": members, "condition": condition(names)})
    return {**found, "bindings": bindings, "version": policy.VERSION}


def change(names: Names, wanted: tuple[str, ...], there: tuple[str, ...]) -> tuple[Change, ...]:
    """The plan's line; none where nobody comes by an address."""
    if not wanted and not there:
        return ()
    resource = f"tunnel {names.machine}"
    if not there:
        return (Change(resource, "create", ", ".join(wanted)),)
    fields = [(email, "none", "admitted") for email in wanted if email not in there]
    fields += [(email, "admitted", "none") for email in there if email not in wanted]
    return (Change(resource, "update" if fields else "nothing", "", tuple(fields)),)


def ensure(api: Api, names: Names, wanted: Iterable[str]) -> None:
    """Exactly these are admitted.

    Raises:
        CloudError: Google refused, or somebody else keeps changing the policy.
    """
    exactly = tuple(wanted)
    policy.change(api, f"the tunnel to {names.machine}", lambda found: with_users(found, names, exactly))


def restrict(api: Api, names: Names, wanted: Iterable[str]) -> None:
    """Nobody beside these is admitted; whoever of them is not admitted yet stays so. Raises as `ensure` does."""
    at_most = set(wanted)
    policy.change(
        api,
        f"the tunnel to {names.machine}",
        lambda found: with_users(found, names, at_most.intersection(users_in(found, names))),
    )


def _ours(found: Policy, names: Names) -> list[dict[str, Any]]:
    return [
        one
        for one in found.get("bindings") or ()
        if one["role"] == ROLE and (one.get("condition") or {}).get("title") == names.machine
    ]
