"""What a person reads when Google says no."""

from __future__ import annotations

import pytest

from hangar.checks.google import look
from hangar.cloud.gcp.errors import OutOfStock
from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from hangar.errors import CloudError
from tests.gcp.conftest import Environment

PROJECT = "hangar-test"


def refusal(environment: Environment, *overrides: str) -> CloudError:
    with pytest.raises(CloudError) as refused:
        environment.up(*overrides)
    return refused.value


def test_a_zone_without_machines_names_the_others(environment: Environment) -> None:
    environment.google.exhaust("europe-west3-a")
    said = refusal(environment)
    assert said.brief == "The zone has no such machine left at the moment."
    assert "(europe-west3-b, europe-west3-c): set gcp.zone in platform.yml." in said.resolution
    assert "  data disk hangar-production-data" in said.details
    assert "Then go on: ./provision.py up production" in said.resolution
    assert said.resolution.endswith("or remove it: ./provision.py destroy production --with-data")
    again = refusal(environment)
    assert (
        "if nothing is on it yet, remove it (./provision.py destroy production --with-data)"
        in again.resolution
    )
    environment.google.exhaust()
    environment.up()
    assert environment.instance["status"] == "RUNNING"


def test_a_zone_without_machines_costs_nobody_their_data(environment: Environment) -> None:
    """Whatever fails around a disk that was there before: no message says that it be removed."""
    environment.up()
    way = (
        "Its data stands in europe-west3-a and does not move: the way to another zone of the region"
        " (europe-west3-b, europe-west3-c) is a snapshot (./provision.py snapshot production create) and a machine from"
        " it (docs/google-cloud.md, Moving)."
    )
    environment.google.exhaust("europe-west3-a")
    said = refusal(environment, "gcp.machine_type=e2-standard-8")
    assert said.resolution.startswith(f"Try again later, or choose another gcp.machine_type.\n{way}\n")
    assert said.resolution.endswith("Then go on: ./provision.py up production")
    (snapshot,) = environment.google.resources("snapshots")
    assert f"  snapshot {snapshot} (./provision.py snapshot production delete {snapshot})" in said.details
    with pytest.raises(OutOfStock) as refused:
        InstanceLifecycle(environment.settings()).start(environment.said.append)
    assert refused.value.resolution.endswith(way)
    assert "destroy" not in said.resolution + refused.value.resolution
    anew = refusal(environment, "gcp.boot_disk_type=pd-ssd")
    assert "destroy" not in anew.resolution
    kept = refusal(environment, "gcp.boot_disk_type=pd-ssd", "gcp.labels.team=data")
    assert "destroy production --with-data" not in kept.resolution.partition("\nThen go on")[2]


def test_what_fails_around_a_disk_that_was_kept_does_not_offer_to_remove_it(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    with cloud.hold("provision.py destroy production"):
        cloud.destroy(environment.said.append, with_data=False)
    environment.google.deny("compute.firewalls.create")
    said = refusal(environment)
    assert said.resolution.endswith(
        "Then go on: ./provision.py up production,"
        " or remove it: ./provision.py destroy production (the data disk stays)"
    )


def test_a_quota_names_the_metric(environment: Environment) -> None:
    environment.google.quota(CPUS=2)
    said = refusal(environment)
    assert said.brief == (
        "The project's quota compute.googleapis.com/cpus does not allow it (limit 2 in europe-west3)."
    )
    assert f"iam-admin/quotas?project={PROJECT}\n" in said.resolution
    assert "Look there for compute.googleapis.com/cpus in europe-west3." in said.resolution


def test_a_missing_permission_is_named_with_a_role_that_has_it(environment: Environment) -> None:
    environment.google.deny("compute.firewalls.create")
    said = refusal(environment)
    assert said.brief == "Your account lacks the permission compute.firewalls.create."
    member = f"serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com"
    assert said.resolution.startswith(
        "The role roles/compute.securityAdmin has it: gcloud projects add-iam-policy-binding"
        f" {PROJECT} --condition None --member {member} --role roles/compute.securityAdmin\n"
    )
    assert "  network hangar-production" in said.details


@pytest.mark.parametrize("when", ["made", "changed"])
def test_who_may_not_act_as_the_machines_account_gets_the_command_that_lets_them(
    environment: Environment, when: str
) -> None:
    """Google says so in other words than of any other permission: an operation's, and an answer's."""
    if when == "changed":
        environment.up()
        environment.overrides = ("gcp.labels.team=data",)  # what was wanted is remembered in the metadata
    environment.google.deny("iam.serviceAccounts.actAs")
    said = refusal(environment)
    account = f"hangar-production@{PROJECT}.iam.gserviceaccount.com"
    assert said.brief == f"Your account lacks the permission iam.serviceAccounts.actAs on {account}."
    assert said.resolution.splitlines()[0] == (
        "The role roles/iam.serviceAccountUser has it: gcloud iam service-accounts add-iam-policy-binding"
        f" {account} --project {PROJECT}"
        f" --member serviceAccount:operator@{PROJECT}.iam.gserviceaccount.com --role roles/iam.serviceAccountUser"
    )
    assert "(400 SERVICE_ACCOUNT_ACCESS_DENIED)" in said.details
    environment.google.deny()
    environment.up()
    assert environment.instance["status"] == "RUNNING"


def test_an_api_that_is_off_comes_with_the_command_that_switches_it_on(environment: Environment) -> None:
    environment.google.disable("compute.googleapis.com")
    said = refusal(environment)
    assert said.brief == "The API compute.googleapis.com is not enabled in the project."
    assert said.resolution.endswith(f"gcloud services enable compute.googleapis.com --project {PROJECT}")


def test_an_organisations_policy_is_named(environment: Environment) -> None:
    environment.google.violate("constraints/compute.vmCanIpForward", "compute.instances.insert")
    said = refusal(environment)
    assert said.brief == "Your organisation's policy constraints/compute.vmCanIpForward forbids it."


def test_an_organisation_that_wants_os_login_is_told_apart(environment: Environment) -> None:
    environment.google.violate("constraints/compute.requireOsLogin", "compute.instances.insert")
    said = refusal(environment)
    assert said.brief == (
        "Your organisation wants OS Login (constraints/compute.requireOsLogin), which Hangar does not support yet."
    )
    assert "gcloud org-policies describe compute.requireOsLogin --effective" in said.resolution
    assert "  network hangar-production" in said.details


def test_a_project_that_nobody_pays_for_is_named(environment: Environment) -> None:
    environment.google.unbill(PROJECT)
    said = refusal(environment)
    assert said.brief == f"The project {PROJECT} has no active billing account."
    assert said.resolution.startswith(f"Link one: gcloud billing projects link {PROJECT} --billing-account")
    environment.google.unbill()
    environment.up()


@pytest.mark.parametrize("value", ["TRUE", "true", "1", "Yes"])
def test_os_login_of_the_project_is_refused_before_anything_is_made(
    environment: Environment, value: str
) -> None:
    cloud = environment.cloud()
    common = cloud.api.compute.get(f"projects/{PROJECT}")["commonInstanceMetadata"]
    items = [{"key": "enable-oslogin", "value": value}]
    body = {"items": items, "fingerprint": common["fingerprint"]}
    cloud.api.compute.do("set_common_instance_metadata", f"projects/{PROJECT}", body)
    before = environment.calls()
    assert (
        refusal(environment).brief
        == f"The project {PROJECT} uses OS Login, which Hangar does not support yet."
    )
    assert environment.writes(before) == []
    assert [one.name for one in look(environment.settings()) if one.state != "ok"] == ["OS Login"]


def test_an_image_that_is_not_there_is_named_before_money_is_spent(environment: Environment) -> None:
    said = refusal(environment, "gcp.image_family=debian-99")
    assert said.brief == "There is no image family debian-99 in the project debian-cloud."
    assert environment.google.resources("disks") == {}


def test_a_network_of_yours_needs_its_subnetwork(environment: Environment) -> None:
    said = refusal(environment, "gcp.network.existing=shared", "gcp.network.subnetwork=mine")
    assert said.brief == "There is no subnetwork mine in europe-west3."


def test_a_machine_type_that_is_not_there_stops_no_machine(environment: Environment) -> None:
    environment.up()
    before = environment.calls()
    said = refusal(environment, "gcp.machine_type=e2-standard-5")
    assert said.brief == "There is no machine type e2-standard-5 in the zone europe-west3-a."
    assert environment.writes(before) == []


def test_another_processor_than_the_images_stops_no_machine(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of images that are not Debian's own say nothing: then Google's records are compared."""
    monkeypatch.setattr("hangar.config.gcp_fit.DEBIAN", "another")
    arm = "gcp.machine_type=t2a-standard-4"
    said = refusal(environment, arm)
    assert said.brief.endswith(" does not start on t2a-standard-4.")
    assert said.details == "* It is for X86_64, and the machine's processor is ARM64."
    assert environment.google.resources("disks") == {}
    environment.up()
    before = environment.calls()
    said = refusal(environment, arm)
    assert said.brief == "The machine cannot become t2a-standard-4: its boot disk is for X86_64 processors."
    assert environment.writes(before) == []
    assert environment.instance["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("image", "brief"),
    [
        ("debian-13-trixie-arm64-v20261110", "The image debian-13-trixie-arm64-v20261110 does not start on "),
        ("gone", "There is no image gone in the project debian-cloud."),
    ],
)
def test_no_machine_is_thrown_away_for_one_that_cannot_be_made(
    environment: Environment, monkeypatch: pytest.MonkeyPatch, image: str, brief: str
) -> None:
    """The plan says so already, before anybody is asked to allow it."""
    monkeypatch.setattr("hangar.config.gcp_fit.DEBIAN", "another")
    environment.up()
    before = environment.calls()
    with pytest.raises(CloudError) as planned:
        environment.plan(f"gcp.image={image}")
    said = refusal(environment, f"gcp.image={image}")
    assert planned.value.brief.startswith(brief)
    assert said.brief == planned.value.brief
    assert environment.writes(before) == []
    assert environment.instance["status"] == "RUNNING"


def test_a_machine_that_cannot_be_started_again_says_that_it_is_off(environment: Environment) -> None:
    environment.up()
    environment.google.exhaust("europe-west3-a/e2-standard-8")
    said = refusal(environment, "gcp.machine_type=e2-standard-8")
    assert "* hangar-production is off." in said.details
    environment.up()
    assert environment.instance["status"] == "RUNNING"
    assert environment.instance["machineType"].endswith("/e2-standard-4")


def test_a_machine_that_cannot_be_made_again_says_what_is_gone_and_what_is_kept(
    environment: Environment,
) -> None:
    environment.up()
    environment.google.exhaust("europe-west3-a")
    said = refusal(environment, "gcp.boot_disk_type=pd-ssd")
    assert "* Removed before that:\n  machine hangar-production (its data disk is kept)" in said.details
    environment.google.exhaust()
    environment.up("gcp.boot_disk_type=pd-ssd")
    assert environment.instance["status"] == "RUNNING"
