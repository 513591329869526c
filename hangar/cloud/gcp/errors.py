"""What Google says when it says no, turned into what happened, the detail, and the command to type next."""

import re

from hangar.cloud.gcp.permissions import grants, role_for
from hangar.cloud.gcp.refusal import CONSTRAINTS, Refusal
from hangar.errors import CloudError


class GoogleRefused(CloudError):
    """Google answered no. `status` is HTTP's, `reason` Google's own word."""

    def __init__(self, refusal: Refusal, brief: str, resolution: str = "") -> None:
        super().__init__(brief, refusal.text, resolution)
        self.status, self.reason = refusal.status, refusal.reason


class NotThere(GoogleRefused):
    """404."""


class Conflict(GoogleRefused):
    """Somebody, perhaps an earlier try of ours, was quicker: it exists, or it was changed meanwhile."""


class NotReady(GoogleRefused):
    """What it needs is still being made; the same call works a little later."""


class OutOfStock(GoogleRefused):
    """The zone has no such machine left."""


class StillAtWork(CloudError):
    """An operation outlives our patience. `target` is the link of what it works on."""

    def __init__(self, target: str, brief: str, details: str, resolution: str) -> None:
        super().__init__(brief, details, resolution)
        self.target = target


PERMISSION = re.compile(r"(?:Required|Permission) '([\w.]+)'")
STOCKOUT = ("ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "STOCKOUT",
            "resource_availability")  # fmt: skip
OFF = ("SERVICE_DISABLED", "accessNotConfigured")
QUOTA = ("QUOTA_EXCEEDED", "quotaExceeded", "QUOTA_LIMIT")
QUOTA_NAME = re.compile(r"Quota '([\w.-]+)' exceeded")
CONSTRAINT = re.compile(r"\b((?:constraints|customConstraints)/\w+(?:\.\w+)+)")
"""Google names an organisation's constraint in many sentences, and always in this way."""

PERIMETER, PERIMETER_ID = (
    "SECURITY_POLICY_VIOLATED",
    re.compile(r"vpcServiceControlsUniqueIdentifier: ?([\w-]+)"),
)
STRANGER, DOMAINS = "not belong to a permitted customer", "constraints/iam.allowedPolicyMemberDomains"
"""The one constraint that a refusal may leave unnamed: who may stand in a policy."""

COUNTED, USING = "USER_PROJECT_DENIED", "serviceusage.services.use"
"""Google's reason for whoever may not have their calls counted for a project, and the permission, which its words name
only in passing.
"""

ENCRYPTING = re.compile(
    r"'cloudkms\.cryptoKeyVersions\.useTo\w+' denied|[Cc]loud KMS error|denied on Cloud KMS key"
)
LOOKING = re.compile(r"'(cloudkms\.cryptoKey(?:Version)?s\.(?:get|list))' denied")
KEY = re.compile(r"projects/[\w.:-]+/locations/[\w-]+/keyRings/[\w-]+/cryptoKeys/[\w-]+")
KEY_ROLE, LOOKING_ROLE = "roles/cloudkms.cryptoKeyEncrypterDecrypter", "roles/cloudkms.viewer"
ACTING = "iam.serviceAccounts.actAs"
ACT_AS = re.compile(
    r"does not have access to service account '(?P<account>[^']+)'(?:\.\s+User: '(?P<person>[^']+)')?"
)
UNNAMED = {
    ":getIamPolicy": "resourcemanager.projects.getIamPolicy",
    ":setIamPolicy": "resourcemanager.projects.setIamPolicy",
}
"""How a call ends whose refusal does not name the permission, and what it needs."""

AWAY = (429, 500, 502, 503, 504)
"""What passes by itself; it was asked again for a while before anybody hears of it."""

TOO_MANY = 429
LIMITED = ("rateLimitExceeded", "userRateLimitExceeded")
"""Compute says by a 403 too that it is asked too often."""

NO_PLACE = re.compile(r"field '(zone|region)': '([\w-]+)'\. Unknown")
NO_PROJECT = re.compile(r"resource 'projects/[\w.:-]+' was not found")
INVALID = "CONSUMER_INVALID"
"""Google's reason for a project that is not there, of whoever wants their calls counted for it."""

NEW_ACCOUNT = re.compile(r"service ?account.*(does not exist|not found)", re.IGNORECASE | re.DOTALL)
USED = ("resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE")
BY = re.compile(r"being used by '(?P<link>[^']*?(?P<kind>[A-Za-z]+)/(?P<name>[^/']+))'")
EXISTS = ("alreadyExists", "RESOURCE_ALREADY_EXISTS", "ALREADY_EXISTS")


def is_too_often(status: int, reason: str) -> bool:
    """Whether Google's no means that it is asked too often."""
    return status == TOO_MANY or (status == 403 and reason in LIMITED)


def translate(refusal: Refusal) -> GoogleRefused:
    """The error that tells a person what to do."""
    judges = (
        _stock, _quota, _disabled, _billing, _policy, _key, _looking_at_key, _act_as, _ready, _nowhere, _used, _exists,
        _away, _permission, _credentials,
    )  # fmt: skip
    for judge in judges:
        error = judge(refusal)
        if error is not None:
            return error
    return GoogleRefused(
        refusal, "Google Cloud refused.", "Run the same command again: it goes on from what is there."
    )


def _stock(said: Refusal) -> GoogleRefused | None:
    if said.reason not in STOCKOUT and "does not have enough resources available" not in said.message:
        return None
    return OutOfStock(
        said, "The zone has no such machine left at the moment.", "Try again later, or choose another zone."
    )


def _quota(said: Refusal) -> GoogleRefused | None:
    if said.reason not in QUOTA:
        return None
    named = QUOTA_NAME.search(said.message)
    quota = said.facts.get("metricName") or said.facts.get("quota_metric") or (named[1] if named else "")
    where = f" in {said.facts['region']}" if "region" in said.facts else ""
    limit = f" (limit {float(said.facts['limit']):g}{where})" if "limit" in said.facts else where
    find = f"\nLook there for {quota}{where}." if quota else ""
    return GoogleRefused(
        said, f"The project's quota{f' {quota}' if quota else ''} does not allow it{limit}.",
        "Choose a smaller gcp.machine_type or disk, or ask for more: "
        f"https://console.cloud.google.com/iam-admin/quotas?project={said.project}{find}",
    )  # fmt: skip


def _disabled(said: Refusal) -> GoogleRefused | None:
    if said.reason not in OFF:
        return None
    named = re.search(r"apis/api/([\w.-]+)/", said.message)
    service = said.facts.get("service") or (named[1] if named else "compute.googleapis.com")
    return GoogleRefused(
        said, f"The API {service} is not enabled in the project.",
        f"Enable it, wait a minute and go on: gcloud services enable {service} --project {_where(said)}",
    )  # fmt: skip


def _billing(said: Refusal) -> GoogleRefused | None:
    if said.reason not in (
        "BILLING_DISABLED",
        "UREQ_PROJECT_BILLING_NOT_FOUND",
        "accountDisabled",
    ) and not re.search(r"billing (account|to be enabled|is disabled)", said.message, re.IGNORECASE):
        return None
    return GoogleRefused(
        said, f"The project {said.project} has no active billing account.",
        f"Link one: gcloud billing projects link {said.project} --billing-account ACCOUNT_ID"
        " (gcloud billing accounts list shows yours)",
    )  # fmt: skip


def _policy(said: Refusal) -> GoogleRefused | None:
    if said.reason == PERIMETER or PERIMETER_ID.search(said.message):
        return _perimeter(said)
    found = CONSTRAINT.search(f"{said.message} {said.facts.get(CONSTRAINTS, '')}")
    if found is None and STRANGER not in said.message:
        return None
    name = found[1] if found else DOMAINS
    brief = f"Your organisation's policy {name} forbids it."
    if name.endswith("/compute.requireOsLogin"):
        brief = f"Your organisation wants OS Login ({name}), which Hangar does not support yet."
    return GoogleRefused(
        said, brief,
        f"Ask whoever administers the organisation for an exception, and show them: "
        f"gcloud org-policies describe {name.partition('/')[2]} --effective --project {said.project}",
    )  # fmt: skip


def _perimeter(said: Refusal) -> GoogleRefused:
    """VPC Service Controls: where one is and by what one comes, no role of the person's would help."""
    number = PERIMETER_ID.search(said.message)
    which = f" the number {number[1]}" if number else " what Google said"
    return GoogleRefused(
        said, "Your organisation's VPC Service Controls forbid it from here.",
        "Ask whoever administers the organisation to admit you (https://cloud.google.com/vpc-service-controls/docs/"
        f"troubleshooting), and show them{which}.",
    )  # fmt: skip


def _key(said: Refusal) -> GoogleRefused | None:
    """Google's own account uses the customer's key; no role of the person's would help."""
    if ENCRYPTING.search(said.message) is None:
        return None
    named = KEY.search(said.message)
    project = said.project
    number = f"$(gcloud projects describe {project} --format 'value(projectNumber)')"
    return GoogleRefused(
        said, "Google may not use your key (gcp.kms_key) for the disks.",
        "Look whether the key is there, in force and in a place that serves the zone. If so, let Compute Engine use it:"
        f" gcloud kms keys add-iam-policy-binding {named[0] if named else 'KEY'} --role {KEY_ROLE}"
        f' --member "serviceAccount:service-{number}@compute-system.iam.gserviceaccount.com"',
    )  # fmt: skip


def _looking_at_key(said: Refusal) -> GoogleRefused | None:
    """To look at a key is the person's own right, and it is on the key, which may be another project's."""
    lacks, named = LOOKING.search(said.message), KEY.search(said.message)
    if lacks is None:
        return None
    return GoogleRefused(
        said, f"Your account lacks the permission {lacks[1]} on the key (gcp.kms_key).",
        f"The role {LOOKING_ROLE} has it: gcloud kms keys add-iam-policy-binding {named[0] if named else 'KEY'}"
        f" --member {said.member} --role {LOOKING_ROLE}",
    )  # fmt: skip


def _act_as(said: Refusal) -> GoogleRefused | None:
    """Compute's own words for the one permission that is on an account and not on the project."""
    named = ACT_AS.search(said.message)
    if named is None:
        return None
    account, person = named["account"], named["person"] or ""
    kind = "serviceAccount" if person.endswith(".gserviceaccount.com") else "user"
    member = f"{kind}:{person}" if person else said.member
    role = role_for(ACTING)
    return GoogleRefused(
        said, f"Your account lacks the permission {ACTING} on {account}.",
        f"The role {role} has it: gcloud iam service-accounts add-iam-policy-binding {account}"
        f" --project {said.project} --member {member} --role {role}",
    )  # fmt: skip


def _ready(said: Refusal) -> GoogleRefused | None:
    """A new service account too is unknown to the other APIs for a while."""
    unknown = said.status == 400 and NEW_ACCOUNT.search(said.message)
    if said.reason not in ("resourceNotReady", "RESOURCE_NOT_READY") and not unknown:
        return None
    return NotReady(
        said, "Something that Google is still making is needed first.", "Run the same command again."
    )


def _nowhere(said: Refusal) -> GoogleRefused | None:
    """A word in platform.yml that names nothing: running the same again would not help."""
    place = NO_PLACE.search(said.message)
    if place:
        return GoogleRefused(
            said, f"There is no {place[1]} {place[2]}.",
            f"Compare gcp.zone in platform.yml: gcloud compute zones list --project {said.project}",
        )  # fmt: skip
    if said.reason == INVALID or NO_PROJECT.search(said.message):
        kind = NotThere if said.status == 404 else GoogleRefused
        brief = f"There is no project {_where(said)}, or none that you may see."
        return kind(said, brief, "Compare gcp.project in platform.yml: gcloud projects list")
    return None


def _used(said: Refusal) -> GoogleRefused | None:
    """Somebody else's, else it would have gone before: running the same again would not help."""
    if said.reason not in USED:
        return None
    by = BY.search(said.message)
    what = by["link"] if by else "what uses it"
    if by and by["kind"] == "firewalls":
        what = f"that rule: gcloud compute firewall-rules delete {by['name']} --project {said.project}"
    return GoogleRefused(
        said, "Something else in the project still uses it.",
        f"If nobody needs it, remove {what}\nThen run the same command again: it goes on from what is there.",
    )  # fmt: skip


def _exists(said: Refusal) -> GoogleRefused | None:
    if said.status == 404:
        return NotThere(said, "Google Cloud does not find it.")
    if said.status in (409, 412) or said.reason in EXISTS:
        return Conflict(
            said, "It was made or changed meanwhile by somebody else.", "Run the same command again."
        )
    return None


def _permission(said: Refusal) -> GoogleRefused | None:
    if said.status != 403:
        return None
    named = PERMISSION.search(said.message)
    told = next((needed for end, needed in UNNAMED.items() if said.place.endswith(end)), "")
    if said.reason == COUNTED:
        told = USING
    permission = said.facts.get("permission") or (named[1] if named else told)
    if not permission:
        return GoogleRefused(
            said, "Your account may not do this.",
            f"These are the permissions that are missing in {said.project}: ./provision.py doctor {said.environment}",
        )  # fmt: skip
    role = role_for(permission)
    has = f"The role {role} has it: " if role else "A role of the project's own can have it alone:\n"
    return GoogleRefused(
        said, f"Your account lacks the permission {permission}.",
        has + "\n".join(grants((permission,), _where(said), said.member)),
    )  # fmt: skip


def _where(said: Refusal) -> str:
    """The project that lacks it: a login's calls may be counted for another than the machine's. Its number is no name
    that gcloud takes.
    """
    is_counted = said.reason in (COUNTED, INVALID, *OFF)
    consumer = said.facts.get("consumer", "").removeprefix("projects/") if is_counted else ""
    return said.project if not consumer or consumer.isdigit() else consumer


def _credentials(said: Refusal) -> GoogleRefused | None:
    if said.status != 401:
        return None
    return GoogleRefused(
        said,
        "Google does not accept these credentials.",
        "Log in again: gcloud auth application-default login",
    )


def _away(said: Refusal) -> GoogleRefused | None:
    often = is_too_often(said.status, said.reason)
    if said.status not in AWAY and not often:
        return None
    what = "is asked too often" if often else "has a fault of its own"
    return GoogleRefused(
        said, f"Google Cloud {what}, and asking again did not help.",
        "Wait some minutes (https://status.cloud.google.com knows of larger ones) and run the same command again: it"
        " goes on from what is there.",
    )  # fmt: skip
