"""Google's refusals, in the forms that they really have, and what a person reads."""

from __future__ import annotations

from typing import Any

import pytest

from hangar.cloud.gcp import errors, permissions, refusal
from hangar.cloud.gcp.errors import Conflict, GoogleRefused, NotReady, NotThere, OutOfStock

KEY = "projects/keys-1/locations/europe-west3/keyRings/ring/cryptoKeys/disks"


def said(status: int, message: str, old_reason: str = "", **detail: Any) -> GoogleRefused:
    error: dict[str, Any] = {"code": status, "message": message}
    if old_reason:
        error["errors"] = [{"reason": old_reason, "message": message}]
    if detail:
        error["details"] = [detail]
    return errors.translate(refusal.read("acme-data-1", "POST compute x", status, {"error": error}))


@pytest.mark.parametrize(
    ("status", "message", "reason", "kind"),
    [
        (404, "The resource 'x' was not found", "notFound", NotThere),
        (404, "The resource 'projects/acme-data-1' was not found", "notFound", NotThere),
        (409, "The resource 'x' already exists", "alreadyExists", Conflict),
        (412, "Invalid fingerprint.", "conditionNotMet", Conflict),
        (400, "The resource 'x' is not ready", "resourceNotReady", NotReady),
        (503, "ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED", OutOfStock),
    ],
)
def test_what_the_driver_acts_on_has_a_kind_of_its_own(
    status: int, message: str, reason: str, kind: type[GoogleRefused]
) -> None:
    assert type(said(status, message, reason)) is kind


@pytest.mark.parametrize(
    ("error", "brief", "resolution"),
    [
        (
            said(403, "Required 'compute.networks.create' permission for 'projects/x'", "forbidden"),
            "Your account lacks the permission compute.networks.create.",
            "roles/compute.networkAdmin",
        ),
        (
            said(403, "Permission 'iam.serviceAccounts.create' denied on resource (or it may not exist)."),
            "Your account lacks the permission iam.serviceAccounts.create.",
            "roles/iam.serviceAccountAdmin",
        ),
        (
            said(
                400,
                "The user does not have access to service account 'vm@acme-data-1.iam.gserviceaccount.com'.  User: "
                "'ada@example.org'.  Ask a project owner to grant you the iam.serviceAccountUser role on the service "
                "account",
                "SERVICE_ACCOUNT_ACCESS_DENIED",
            ),
            "Your account lacks the permission iam.serviceAccounts.actAs on vm@acme-data-1.iam.gserviceaccount.com.",
            "gcloud iam service-accounts add-iam-policy-binding vm@acme-data-1.iam.gserviceaccount.com"
            " --project acme-data-1 --member user:ada@example.org --role roles/iam.serviceAccountUser",
        ),
        *(
            (
                said(
                    status,
                    f"Cloud KMS error when using key {KEY}: Permission 'cloudkms.cryptoKeyVersions.useToEncrypt'"
                    f" denied on resource '{KEY}' (or it may not exist).",
                ),
                "Google may not use your key (gcp.kms_key) for the disks.",
                f"gcloud kms keys add-iam-policy-binding {KEY} --role roles/cloudkms.cryptoKeyEncrypterDecrypter"
                ' --member "serviceAccount:service-$(gcloud projects describe acme-data-1 --format'
                " 'value(projectNumber)')@compute-system.iam.gserviceaccount.com\"",
            )
            for status in (400, 403)
        ),
        (
            said(
                403,
                f"Permission 'cloudkms.cryptoKeys.get' denied on resource '{KEY}' (or it may not exist).",
                reason="IAM_PERMISSION_DENIED",
                metadata={"permission": "cloudkms.cryptoKeys.get", "resource": KEY},
            ),
            "Your account lacks the permission cloudkms.cryptoKeys.get on the key (gcp.kms_key).",
            f"The role roles/cloudkms.viewer has it: gcloud kms keys add-iam-policy-binding {KEY}"
            f" --member {refusal.SOMEBODY} --role roles/cloudkms.viewer",
        ),
        (
            said(403, "Permission 'cloudkms.keyRings.create' denied on resource (or it may not exist)."),
            "Your account lacks the permission cloudkms.keyRings.create.",
            "gcloud iam roles create hangar_cloudkms_keyRings_create --project acme-data-1",
        ),
        (
            said(403, "not used", reason="SERVICE_DISABLED", metadata={"service": "iam.googleapis.com"}),
            "The API iam.googleapis.com is not enabled in the project.",
            "gcloud services enable iam.googleapis.com --project acme-data-1",
        ),
        *(
            (
                said(
                    403,
                    "not used",
                    reason="SERVICE_DISABLED",
                    metadata={"service": "iam.googleapis.com", "consumer": f"projects/{consumer}"},
                ),
                "The API iam.googleapis.com is not enabled in the project.",
                f"gcloud services enable iam.googleapis.com --project {project}",
            )
            for consumer, project in (("123456", "acme-data-1"), ("acme-office", "acme-office"))
        ),
        (
            said(403, "This API method requires billing to be enabled.", reason="BILLING_DISABLED"),
            "The project acme-data-1 has no active billing account.",
            "gcloud billing projects link acme-data-1",
        ),
        (
            said(
                412,
                "Constraint constraints/compute.vmExternalIpAccess violated for project 1",
                "conditionNotMet",
            ),
            "Your organisation's policy constraints/compute.vmExternalIpAccess forbids it.",
            "gcloud org-policies describe compute.vmExternalIpAccess --effective --project acme-data-1",
        ),
        *(
            (
                said(
                    400,
                    "The network resource 'projects/acme-data-1/global/networks/hangar-production' is already being"
                    " used by 'projects/acme-data-1/global/firewalls/debug'",
                    reason,
                ),
                "Something else in the project still uses it.",
                "remove that rule: gcloud compute firewall-rules delete debug --project acme-data-1\nThen run the same",
            )
            for reason in ("resourceInUseByAnotherResource", "RESOURCE_IN_USE_BY_ANOTHER_RESOURCE")
        ),
        (
            said(
                400,
                "The subnetwork resource 's' is already being used by 'projects/acme-data-1/zones/z/instances/theirs'",
                "resourceInUseByAnotherResource",
            ),
            "Something else in the project still uses it.",
            "If nobody needs it, remove projects/acme-data-1/zones/z/instances/theirs\n",
        ),
        (
            said(404, "The resource 'projects/acme-data-1' was not found", "notFound"),
            "There is no project acme-data-1, or none that you may see.",
            "Compare gcp.project in platform.yml: gcloud projects list",
        ),
        (
            said(
                403,
                "Permission denied on resource project acme-office.",
                reason="CONSUMER_INVALID",
                metadata={"consumer": "projects/acme-office"},
            ),
            "There is no project acme-office, or none that you may see.",
            "gcloud projects list",
        ),
        (
            said(400, "Invalid value for field 'zone': 'europe-west6-z'. Unknown zone.", "invalid"),
            "There is no zone europe-west6-z.",
            "Compare gcp.zone in platform.yml: gcloud compute zones list --project acme-data-1",
        ),
        *(
            (
                said(status, message, "conditionNotMet" if status == 412 else ""),
                f"Your organisation's policy {name} forbids it.",
                f"gcloud org-policies describe {name.partition('/')[2]} --effective --project acme-data-1",
            )
            for status, name, message in (
                (
                    400,
                    "constraints/iam.managed.disableServiceAccountCreation",
                    'Operation denied by org policy: ["constraints/iam.managed.disableServiceAccountCreation"].',
                ),
                (
                    412,
                    "customConstraints/custom.labels",
                    "Operation denied by org policy on resource 'projects/acme-data-1': "
                    '["customConstraints/custom.labels": "Disks have an owner."]',
                ),
                (
                    412,
                    "constraints/gcp.resourceLocations",
                    "Location ZONE:europe-west3-a violates constraint constraints/gcp.resourceLocations on the "
                    "resource projects/acme-data-1/zones/europe-west3-a/disks/x.",
                ),
                (
                    403,
                    "constraints/gcp.restrictServiceUsage",
                    "Request is disallowed by organization's constraints/gcp.restrictServiceUsage constraint for "
                    "'projects/1' attempting to use service 'compute.googleapis.com'.",
                ),
                (
                    400,
                    "constraints/iam.allowedPolicyMemberDomains",
                    "One or more users named in the policy do not belong to a permitted customer,  perhaps due to an "
                    "organization policy.",
                ),
            )
        ),
        (
            said(
                400,
                "Service account creation is not allowed on this project.",
                violations=[
                    {"type": "constraints/iam.disableServiceAccountCreation", "subject": "projects/x"}
                ],
            ),
            "Your organisation's policy constraints/iam.disableServiceAccountCreation forbids it.",
            "gcloud org-policies describe iam.disableServiceAccountCreation --effective --project acme-data-1",
        ),
        (
            said(
                403,
                "Request is prohibited by organization's policy. vpcServiceControlsUniqueIdentifier: aBc-12_3",
                reason="SECURITY_POLICY_VIOLATED",
            ),
            "Your organisation's VPC Service Controls forbid it from here.",
            "and show them the number aBc-12_3.",
        ),
        *(
            (
                said(
                    403,
                    "Caller does not have required permission to use project acme-data-1. Grant the caller the "
                    "roles/serviceusage.serviceUsageConsumer role, or a custom role with the serviceusage.services.use "
                    "permission.",
                    reason="USER_PROJECT_DENIED",
                    metadata={"consumer": f"projects/{consumer}", "service": "compute.googleapis.com"},
                ),
                "Your account lacks the permission serviceusage.services.use.",
                "The role roles/serviceusage.serviceUsageConsumer has it: gcloud projects add-iam-policy-binding"
                f" {project} --condition None --member {refusal.SOMEBODY}"
                " --role roles/serviceusage.serviceUsageConsumer",
            )
            for consumer, project in (
                ("acme-data-1", "acme-data-1"),
                ("123456", "acme-data-1"),
                ("acme-office", "acme-office"),
            )
        ),
        (
            said(401, "Request had invalid authentication credentials.", "authError"),
            "Google does not accept these credentials.",
            "gcloud auth application-default login",
        ),
    ],
)
def test_a_refusal_comes_with_the_command_that_helps(
    error: GoogleRefused, brief: str, resolution: str
) -> None:
    assert error.brief == brief
    assert resolution in error.resolution


@pytest.mark.parametrize(
    "member", [refusal.SOMEBODY, "serviceAccount:ci@acme-data-1.iam.gserviceaccount.com"]
)
def test_a_role_is_to_be_given_to_whoever_asked(member: str) -> None:
    body = {"error": {"message": "Required 'compute.networks.create' permission for 'projects/x'"}}
    error = errors.translate(refusal.read("acme-data-1", "POST compute x", 403, body, member))
    assert error.resolution == (
        "The role roles/compute.networkAdmin has it: gcloud projects add-iam-policy-binding acme-data-1"
        f" --condition None --member {member} --role roles/compute.networkAdmin"
    )


def test_a_permission_of_no_known_role_asks_for_no_more_than_itself() -> None:
    error = said(403, "Permission 'orgpolicy.policies.get' denied on resource (or it may not exist).")
    assert error.brief == "Your account lacks the permission orgpolicy.policies.get."
    assert error.resolution.splitlines() == [
        "A role of the project's own can have it alone:",
        "gcloud iam roles create hangar_orgpolicy_policies_get --project acme-data-1"
        " --permissions orgpolicy.policies.get",
        f"gcloud projects add-iam-policy-binding acme-data-1 --condition None --member {refusal.SOMEBODY}"
        " --role projects/acme-data-1/roles/hangar_orgpolicy_policies_get",
    ]


def test_whatever_hangar_needs_has_a_predefined_role_and_none_is_a_basic_one() -> None:
    needed = (*permissions.NEEDED, *permissions.FOR_SECRETS, *permissions.FOR_MONITORING)
    assert [one for one in needed if permissions.role_for(one) is None] == []
    basic = {"roles/owner", "roles/editor", "roles/viewer"}
    assert basic.isdisjoint(permissions.role_for(one) for one in needed)
    assert permissions.grants(("compute.disks.get", "compute.disks.use"), "p", "user:a@b.c") == [
        "gcloud projects add-iam-policy-binding p --condition None --member user:a@b.c"
        " --role roles/compute.instanceAdmin.v1"
    ]


def test_the_words_of_google_are_kept() -> None:
    error = said(400, "Invalid value for field 'x'", "invalid")
    assert error.details == (
        "* Google said (400 invalid): Invalid value for field 'x'\n* Asked for: POST compute x"
    )


@pytest.mark.parametrize(
    ("details", "brief", "look"),
    [
        (
            {"quotaInfo": {"metricName": "compute.googleapis.com/cpus", "limitName": "CPUS-per-project-region",
                           "limit": 2.0, "dimensions": {"region": "europe-west3"}}},
            "The project's quota compute.googleapis.com/cpus does not allow it (limit 2 in europe-west3).",
            "Look there for compute.googleapis.com/cpus in europe-west3.",
        ),
        (
            {"errorInfo": {"metadatas": {"metricName": "compute.googleapis.com/cpus"}}},
            "The project's quota compute.googleapis.com/cpus does not allow it.",
            "Look there for compute.googleapis.com/cpus.",
        ),
        ({}, "The project's quota CPUS does not allow it.", "Look there for CPUS."),
    ],
)  # fmt: skip
def test_an_operation_that_ended_in_a_quota_names_it_and_where_to_ask_for_more(
    details: dict[str, Any], brief: str, look: str
) -> None:
    found = {
        "code": "QUOTA_EXCEEDED", "message": "Quota 'CPUS' exceeded.  Limit: 2.0 in region x.",
        "errorDetails": [details],
    }  # fmt: skip
    operation = {"httpErrorStatusCode": 403, "error": {"errors": [found]}}
    error = errors.translate(refusal.read_operation("acme-data-1", "insert x", operation))
    assert error.brief == brief
    assert error.resolution == (
        "Choose a smaller gcp.machine_type or disk, or ask for more: "
        f"https://console.cloud.google.com/iam-admin/quotas?project=acme-data-1\n{look}"
    )


def test_a_page_that_is_no_json_is_still_an_error() -> None:
    page = refusal.read("p", "GET compute x", 502, {"error": {"message": "<html>"}})
    assert errors.translate(page).brief == (
        "Google Cloud has a fault of its own, and asking again did not help."
    )


@pytest.mark.parametrize("status", [429, 403])
def test_who_asks_too_often_is_told_to_wait(status: int) -> None:
    error = said(status, "Quota exceeded for quota metric 'Queries'", "rateLimitExceeded")
    assert error.brief == "Google Cloud is asked too often, and asking again did not help."
    assert error.resolution.startswith("Wait some minutes")


def test_a_permission_that_google_does_not_name_is_known_from_what_was_asked() -> None:
    place = "POST cloudresourcemanager v3/projects/p:setIamPolicy"
    body = {"error": {"message": "The caller does not have permission", "status": "PERMISSION_DENIED"}}
    error = errors.translate(refusal.read("p", place, 403, body))
    assert error.brief == "Your account lacks the permission resourcemanager.projects.setIamPolicy."
    assert "roles/resourcemanager.projectIamAdmin" in error.resolution
