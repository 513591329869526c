"""Which permissions a call needs, and what Google answers where one is missing."""

from typing import Any

from tests.google.errors import GoogleError, info
from tests.google.world import PERMISSIONS, Call

VERBS = {
    "insert": "create",
    "patch": "update",
    "aggregatedList": "list",
    "wait": "get",
    "batchGet": "get",
    "getFromFamily": "getFromFamily",
}
FREE = ("testIamPermissions", "serviceusage.operations.get")
"""Asking what one may do asks for nothing."""

SERVICES = {
    "compute": ("compute.googleapis.com", "Compute Engine API"),
    "iam": ("iam.googleapis.com", "Identity and Access Management (IAM) API"),
    "cloudresourcemanager": ("cloudresourcemanager.googleapis.com", "Cloud Resource Manager API"),
    "storage": ("storage.googleapis.com", "Cloud Storage JSON API"),
    "secretmanager": ("secretmanager.googleapis.com", "Secret Manager API"),
    "cloudkms": ("cloudkms.googleapis.com", "Cloud Key Management Service (KMS) API"),
    "monitoring": ("monitoring.googleapis.com", "Cloud Monitoring API"),
}
"""Service Usage itself is always on."""


def needed(call: Call) -> list[str]:
    """The permissions that Google's documents ask for this call, the method's own first."""
    service, *middle, verb = call.method.id.removesuffix(".v1").split(".")
    if verb in FREE or call.method.id in FREE:
        return []
    if call.method.id in PERMISSIONS:
        return PERMISSIONS[call.method.id](call)
    resource = middle[-1]
    if service == "cloudresourcemanager":
        service = "resourcemanager"
    return [f"{service}.{resource}.{VERBS.get(verb, verb)}"]


ACT_AS = "iam.serviceAccounts.actAs"
ACCESS_DENIED = "SERVICE_ACCOUNT_ACCESS_DENIED"


def require(call: Call, asked: list[str], target: str) -> None:
    """Raises: GoogleError 403, naming the first permission that is missing, in the words of the API; 400 where a
    machine may not get its account. (An insert is accepted, and its operation says so.)
    """
    for permission in asked:
        if permission == ACT_AS and call.method.api == "compute":
            continue
        if call.rules.is_denied(call.project, permission):
            raise refusal(call, permission, target)
    if ACT_AS in asked and call.method.id != "compute.instances.insert" and may_not_act(call):
        raise GoogleError(400, cannot_act(call, _account(call, target)), ACCESS_DENIED)


def may_not_act(call: Call) -> bool:
    return call.rules.is_denied(call.project, ACT_AS)


def cannot_act(call: Call, account: str) -> str:
    """What Compute says to whoever may not let a machine act as its account; the permission stands nowhere in it."""
    return (
        f"The user does not have access to service account '{account}'.  User: '{call.principal}'.  Ask a project "
        "owner to grant you the iam.serviceAccountUser role on the service account"
    )


def _account(call: Call, target: str) -> str:
    accounts = call.state.resources.get(target, {}).get("serviceAccounts") or [{}]
    return str(call.body.get("email") or accounts[0].get("email", ""))


def refusal(call: Call, permission: str, target: str) -> GoogleError:
    if call.method.api == "compute":
        return GoogleError(403, f"Required '{permission}' permission for '{target}'", "forbidden")
    if call.method.api == "storage":
        text = (
            f"{call.principal} does not have {permission} access to the Google Cloud Storage object. "
            f"Permission '{permission}' denied on resource (or it may not exist)."
        )
        return GoogleError(403, text, "forbidden")
    if call.method.api == "cloudresourcemanager":
        return GoogleError(403, "The caller does not have permission")
    detail = info(
        "IAM_PERMISSION_DENIED" if call.method.api == "iam" else "AUTH_PERMISSION_DENIED",
        f"{call.method.api}.googleapis.com",
        permission=permission,
        resource=target,
    )
    return GoogleError(
        403, f"Permission '{permission}' denied on resource (or it may not exist).", details=(detail,)
    )


def require_enabled(call: Call) -> None:
    """Raises: GoogleError 403 SERVICE_DISABLED, if the API is switched off in the project."""
    service, title = SERVICES.get(call.method.api, ("", ""))
    if call.method.api == "compute" and call.project in call.rules.unbilled:
        raise _unbilled(call, service)
    if not service or not call.project or not call.rules.is_disabled(call.project, service):
        return
    page = f"https://console.developers.google.com/apis/api/{service}/overview?project={call.project}"
    text = (
        f"{title} has not been used in project {call.project} before or it is disabled. Enable it by visiting {page} "
        "then retry. If you enabled this API recently, wait a few minutes for the action to propagate to our "
        "systems and retry."
    )
    help_: dict[str, Any] = {
        "@type": "type.googleapis.com/google.rpc.Help",
        "links": [{"description": "Google developers console API activation", "url": page}],
    }
    details = (
        info(
            "SERVICE_DISABLED",
            "googleapis.com",
            service=service,
            serviceTitle=title,
            consumer=f"projects/{call.project}",
            containerInfo=call.project,
            activationUrl=page,
        ),
        help_,
    )
    raise GoogleError(403, text, "accessNotConfigured", domain="usageLimits", details=details)


def _unbilled(call: Call, service: str) -> GoogleError:
    text = (
        f"This API method requires billing to be enabled. Please enable billing on project #{call.project} by visiting "
        f"https://console.developers.google.com/billing/enable?project={call.project} then retry. If you enabled "
        "billing for this project recently, wait a few minutes for the action to propagate to our systems and retry."
    )
    detail = info("BILLING_DISABLED", "googleapis.com", service=service, consumer=f"projects/{call.project}")
    return GoogleError(403, text, "forbidden", details=(detail,))


def require_policy(call: Call, target: str) -> None:
    """Raises: GoogleError 412, if an organisation policy that a test ordered forbids the call."""
    for rule in call.rules.constraints:
        if rule["method"] == call.method.id:
            text = rule.get("message") or (
                f"Constraint {rule['constraint']} violated for project {call.project}. See "
                "https://cloud.google.com/resource-manager/docs/organization-policy/org-policy-constraints "
                "for more information."
            )
            raise GoogleError(412, text.replace("{target}", target), "conditionNotMet")
