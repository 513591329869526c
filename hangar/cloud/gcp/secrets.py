"""Secret Manager as the machine's account sees it: each secret that is named lets it read, and no other does.

The right is given on the secret itself, never on the project. The value is not read here: only that a version is in
force, and who may read it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hangar.cloud.gcp import abreast, policy, views
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import OFF, GoogleRefused, NotThere
from hangar.cloud.gcp.names import Names, last
from hangar.cloud.gcp.permissions import FOR_SECRETS
from hangar.cloud.gcp.views import View
from hangar.errors import CloudError
from hangar.given import Given
from hangar.plan import Change

API = "secretmanager"
ROLE = "roles/secretmanager.secretAccessor"
ADMIN = "roles/secretmanager.admin"
DECIDES = "secretmanager.secrets.setIamPolicy"
READ = "read by the machine"
KIND = "secret "
AT_ONCE = 8
UNSEEN: Literal["unseen"] = "unseen"


class NotYours(CloudError):
    """Somebody else decides who reads the secret."""


@dataclass(frozen=True)
class Problem:
    """A secret that the machine could not read: by its name here, why, and what to type."""

    name: str
    why: str
    cure: str


def view(*, readable: bool) -> View:
    return {READ: views.yes(readable)}


def named(resource: str) -> str:
    """As a plan and the record of the last one name it."""
    return f"{KIND}{resource}"


def remembered(applied: Iterable[str]) -> tuple[str, ...]:
    """The secrets that the last `up` let the machine read."""
    return tuple(one.removeprefix(KIND) for one in applied if one.startswith(f"{KIND}projects/"))


def read(
    api: Api, names: Names, wanted: Sequence[Given], before: Iterable[str]
) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Whether the machine may read each that is wanted, or was before; one of before that is gone is left out. Beside
    that those of before that we may not look at: the machine may still read them.

    Raises:
        CloudError: one that is wanted is not there, has no version in force, or may not be looked at by us.
            Nothing was changed.
    """
    problems: list[Problem] = []
    resources = {one.resource: one for one in wanted}
    asked = [*resources, *(one for one in before if one not in resources)]
    looks = {one: partial(_looked, api, names, one, resources.get(one)) for one in asked}
    told = abreast.ask(looks, AT_ONCE)
    answers = [told[one] for one in asked]
    found: dict[str, bool] = {}
    for resource, answer in zip(asked, answers, strict=True):
        if isinstance(answer, Problem):
            problems.append(answer)
        elif isinstance(answer, bool):
            found[resource] = answer
    if problems:
        raise _told(problems, names)
    unseen = (one for one, answer in zip(asked, answers, strict=True) if answer == UNSEEN)
    return found, tuple(unseen)


def _looked(
    api: Api, names: Names, resource: str, wanted: Given | None
) -> bool | Problem | Literal["unseen"] | None:
    try:
        if wanted is not None and (problem := _in_force(api, wanted)):
            return problem
        return ROLE in policy.roles_in(_policy(api, resource), names.email)
    except NotThere:
        return None if wanted is None else _absent(wanted)
    except GoogleRefused as error:
        if error.status != 403 or error.reason in OFF:
            raise
        if wanted is None:
            return UNSEEN  # whose it is now is no business of ours; a right there ends with the account
        return _forbidden(api, wanted, error)


def _in_force(api: Api, wanted: Given) -> Problem | None:
    """The version's record, without its value."""
    found = api.rest.call("GET", API, f"v1/{wanted.resource}/versions/{wanted.version}")
    if found.get("state") == "ENABLED":
        return None
    number, secret, project = last(str(found.get("name"))), wanted.secret, wanted.project
    state = str(found.get("state", "unknown")).lower()
    return Problem(
        wanted.name, f"{wanted.resource}: version {number} is {state}",
        f"gcloud secrets versions enable {number} --secret {secret} --project {project}"
        if state == "disabled" else _add(wanted),
    )  # fmt: skip


def _absent(wanted: Given) -> Problem:
    if wanted.version != "latest":
        return Problem(
            wanted.name, f"{wanted.resource} has no version {wanted.version}",
            f"gcloud secrets versions list {wanted.secret} --project {wanted.project}",
        )  # fmt: skip
    return Problem(
        wanted.name, f"{wanted.resource} is not there, or has no version",
        f"gcloud secrets create {wanted.secret} --project {wanted.project} --data-file FILE\n"
        f"  or, where it is there: {_add(wanted)}",
    )  # fmt: skip


def _add(wanted: Given) -> str:
    return f"gcloud secrets versions add {wanted.secret} --project {wanted.project} --data-file FILE"


def _forbidden(api: Api, wanted: Given, error: GoogleRefused) -> Problem:
    return Problem(
        wanted.name, f"you may not look at {wanted.resource}\n  {error.details.splitlines()[0].lstrip('* ')}",
        _yours(api, wanted),
    )  # fmt: skip


def _yours(api: Api, wanted: Given) -> str:
    """The command that gives us what we need on the secret."""
    return (
        f"gcloud secrets add-iam-policy-binding {wanted.secret} --project {wanted.project} "
        f"--member {api.session.member} --role {ADMIN}"
    )


def lacking(api: Api, names: Names, wanted: Sequence[Given]) -> tuple[Problem, ...]:
    """The rights that `up` will need on each secret and that we have not. Of a secret on which we may do nothing Google
    does not say whether it is there: `read` tells of it.

    Raises:
        CloudError: Google refused to say.
    """
    looks = {str(number): partial(_lacking, api, names, one) for number, one in enumerate(wanted)}
    return tuple(one for one in abreast.ask(looks, AT_ONCE).values() if one is not None)


def _lacking(api: Api, names: Names, wanted: Given) -> Problem | None:
    path = f"v1/{wanted.resource}:testIamPermissions"
    held = api.rest.call("POST", API, path, {"permissions": list(FOR_SECRETS)}).get("permissions") or ()
    missing = [permission for permission in FOR_SECRETS if permission not in held]
    if not held or not missing:
        return None
    cures = [_yours(api, wanted)]
    if missing == [DECIDES]:
        if ROLE in policy.roles_in(_policy(api, wanted.resource), names.email):
            return None  # the machine reads it already: there is nothing to decide
        cures.append(
            f"or, after the first `up`, by whoever decides who reads it: {_bound(names, wanted.resource, 'add')}"
        )
    return Problem(wanted.name, f"{', '.join(missing)} on {wanted.resource}", "\n".join(cures))


def _told(problems: Sequence[Problem], names: Names) -> CloudError:
    count = "A secret is" if len(problems) == 1 else f"{len(problems)} secrets are"
    found = sorted(problems, key=lambda one: one.name)
    return CloudError(
        f"{count} not ready in Secret Manager; nothing was changed.",
        "\n".join(f"* {one.name}: {one.why}" for one in found),
        "\n".join(dict.fromkeys(one.cure for one in found))
        + f"\nThen: ./provision.py up {names.environment}",
    )  # fmt: skip


def changes(wanted: Sequence[Given], there: dict[str, bool]) -> tuple[Change, ...]:
    """The plan's lines: what the machine may read from now on, and what no longer."""
    kept = {one.resource: True for one in wanted}
    found = []
    for resource in (*kept, *(one for one in there if one not in kept)):
        old, new = there.get(resource, False), kept.get(resource, False)
        fields = ((READ, views.yes(old), views.yes(new)),) if old != new else ()
        if new or fields:
            found.append(Change(named(resource), "update" if fields else "nothing", "", fields))
    return tuple(found)


def may_still(names: Names, resource: str) -> str:
    """A plan's words on a secret of before that we may not look at, with the command for somebody who may."""
    command = _bound(names, resource, "remove")
    return f"{named(resource)}: the machine may still read it, and you may not look (whoever may: {command})"


def differing(wanted: Sequence[Given], there: dict[str, bool]) -> dict[str, bool]:
    """Resource → whether the machine is to read it, where that is not so yet."""
    kept = {one.resource for one in wanted}
    return {one: one in kept for one in sorted({*kept, *there}) if there.get(one, False) != (one in kept)}


def ensure_all(api: Api, names: Names, readable: dict[str, bool]) -> None:
    """Resource → whether the machine's account may read it from now on.

    Raises:
        NotYours: some could not be changed, with the commands for somebody who may; the others were.
        HangarError: Google refused otherwise, or others kept writing.
    """
    refused = []
    for resource, yes in readable.items():
        try:
            ensure(api, names, resource, readable=yes)
        except NotYours as error:
            refused.append((resource, error))
    if refused:
        raise NotYours(
            f"You may not change who reads {', '.join(resource for resource, _ in refused)}.",
            refused[0][1].details,
            "Ask whoever may (secretmanager.secrets.setIamPolicy) for this, then run the same command again:\n"
            + "\n".join(error.resolution for _, error in refused),
        )


def ensure(api: Api, names: Names, resource: str, *, readable: bool) -> None:
    """The machine's account may read the secret, or may not.

    Raises:
        NotYours: its resolution is the command for somebody who may. HangarError as for `ensure_all`.
    """
    try:
        policy.rewrite(
            lambda: _policy(api, resource),
            lambda changed: api.rest.call("POST", API, f"v1/{resource}:setIamPolicy", {"policy": changed}),
            lambda found: policy.with_roles(found, names.email, (ROLE,) if readable else ()),
            f"the secret {resource}",
        )
    except GoogleRefused as error:
        if error.status != 403:
            raise
        command = _bound(names, resource, "add" if readable else "remove")
        raise NotYours(f"You may not change who reads {resource}.", error.details, command) from error


def _bound(names: Names, resource: str, verb: str) -> str:
    """The command that adds or removes the machine's right."""
    return (
        f"gcloud secrets {verb}-iam-policy-binding {last(resource)} --project {resource.split('/')[1]} "
        f"--member serviceAccount:{names.email} --role {ROLE}"
    )


def _policy(api: Api, resource: str) -> policy.Policy:
    params = {"options.requestedPolicyVersion": str(policy.VERSION)}
    return api.rest.call("GET", API, f"v1/{resource}:getIamPolicy", params=params)
