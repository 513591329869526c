"""What hands beside Hangar do to a machine: seen by the plan, set right by `up`, and no loss at the end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hangar.cloud.gcp import policy
from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from hangar.errors import CloudError, HangarError
from hangar.plan import Change
from tests.gcp.conftest import ZONE, Environment
from tests.gcp.test_removal import remove

NAME = "hangar-production"
DATA, BOOT = f"{NAME}-data", f"{NAME}-boot"


def edit(environment: Environment, **fields: Any) -> None:
    path = f"projects/{environment.google.project}/zones/{ZONE}/instances/{NAME}"
    environment.google.edit(path, **fields)


def attached(environment: Environment, name: str) -> dict[str, Any]:
    disks: list[dict[str, Any]] = environment.instance["disks"]  # type: ignore[assignment]
    return next(one for one in disks if one["source"].endswith(f"/{name}"))


def auto_delete(environment: Environment, name: str, *, on: bool) -> None:
    """As `gcloud compute instances set-disk-auto-delete` does."""
    cloud = environment.cloud()
    device = attached(environment, name)["deviceName"]
    cloud.api.compute.do(
        "set_disk_auto_delete", cloud.names.instance, device_name=device, auto_delete=on
    )  # fmt: skip


def kept_boot_disk(environment: Environment) -> str:
    """The machine is deleted by hand, and its boot disk kept; returns the disk's id."""
    auto_delete(environment, BOOT, on=False)
    cloud = environment.cloud()
    cloud.api.compute.do("set_deletion_protection", cloud.names.instance, deletion_protection=False)
    cloud.api.compute.do("delete", cloud.names.instance)
    found: str = environment.google.resources("disks")[BOOT]["id"]
    return found


def changes(environment: Environment, *overrides: str) -> list[Change]:
    return [one for one in environment.plan(*overrides).changes if one.action != "nothing"]


def test_a_data_disk_that_would_go_with_the_machine_is_seen_and_set_right(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, DATA, on=True)
    plan = environment.plan()
    assert plan.drift == (f"machine {NAME}: data disk goes with the machine: no → yes",)
    (change,) = [one for one in plan.changes if one.action != "nothing"]
    assert (change.action, change.fields) == ("update", (("data disk goes with the machine", "yes", "no"),))
    before = environment.calls()
    environment.up()
    assert environment.writes(before) == ["compute.instances.setDiskAutoDelete"]
    assert attached(environment, DATA)["autoDelete"] is False
    assert attached(environment, BOOT)["autoDelete"] is True
    assert environment.plan().drift == ()


@pytest.mark.parametrize("way", ["destroy", "replace"])
def test_the_data_outlives_the_machine_though_somebody_let_it_go_along(
    environment: Environment, way: str
) -> None:
    environment.up()
    data = environment.google.resources("disks")[DATA]["id"]
    auto_delete(environment, DATA, on=True)
    before = environment.calls()
    if way == "destroy":
        remove(environment, with_data=False)
    else:
        assert environment.up("gcp.boot_disk_type=pd-ssd").replaces
    calls = environment.writes(before)
    assert calls.index("compute.instances.setDiskAutoDelete") < calls.index("compute.instances.delete")
    assert environment.google.resources("disks")[DATA]["id"] == data


def test_a_strangers_disk_at_the_machine_outlives_it_and_is_named(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    names, do = cloud.names, cloud.api.compute.do
    kind = f"{names.in_zone}/diskTypes/pd-balanced"
    do("insert", f"{names.in_zone}/disks", {"name": "theirs", "sizeGb": "10", "type": kind})
    disk = {"source": f"{names.in_zone}/disks/theirs", "deviceName": "theirs", "autoDelete": True}
    do("attach_disk", names.instance, disk)
    assert "disk theirs (attached by somebody else; not Hangar's)" in cloud.removal(with_data=True).stays
    remove(environment, with_data=True)
    assert set(environment.google.resources("disks")) == {"theirs"}


def test_a_data_disk_that_can_only_be_read_is_attached_anew_with_a_stop(environment: Environment) -> None:
    environment.up()
    edit(
        environment, disks=[attached(environment, BOOT), {**attached(environment, DATA), "mode": "READ_ONLY"}]
    )
    (change,) = changes(environment)
    assert (change.action, change.detail, change.fields) == (
        "restart", "what is mounted is attached anew only on a stopped machine",
        (("data disk mode", "READ_ONLY", "READ_WRITE"),),
    )  # fmt: skip
    before = environment.calls()
    environment.up()
    assert environment.writes(before) == [
        "compute.disks.createSnapshot", "compute.instances.stop", "compute.instances.detachDisk",
        "compute.instances.attachDisk", "compute.instances.start",
    ]  # fmt: skip
    assert (attached(environment, DATA)["mode"], environment.instance["status"]) == ("READ_WRITE", "RUNNING")


def test_a_boot_disk_that_somebody_kept_makes_way_for_the_new_one(environment: Environment) -> None:
    environment.up()
    old = kept_boot_disk(environment)
    assert changes(environment)[0] == Change(
        f"boot disk {BOOT}", "delete", "left by a machine that is gone; the new one gets its own"
    )
    before = environment.calls()
    environment.up()
    assert environment.writes(before)[:2] == ["compute.disks.delete", "compute.instances.insert"]
    assert environment.google.resources("disks")[BOOT]["id"] != old
    assert environment.instance["status"] == "RUNNING"
    assert changes(environment) == []


def test_a_machine_that_somebody_deleted_is_told_to_be_gone(environment: Environment) -> None:
    """And one that is not there for another reason is not: none yet, one half made, one that `destroy` took."""
    assert environment.plan().drift == ()
    environment.google.deny("compute.instances.create")
    with pytest.raises(CloudError):
        environment.up()
    assert environment.plan().drift == (), "its disk was at no machine yet"
    environment.google.deny()
    environment.up()
    cloud = environment.cloud()
    cloud.api.compute.do("set_deletion_protection", cloud.names.instance, deletion_protection=False)
    cloud.api.compute.do("delete", cloud.names.instance)
    plan = environment.plan()
    (gone,) = plan.drift
    assert re.fullmatch(
        rf"machine {NAME} is gone: its data disk was at one until \d{{4}}-\d\d-\d\d \d\d:\d\d UTC, and then somebody"
        r" deleted it or Google gave it up \(`up` makes a new machine around the disk\)",
        gone,
    )
    assert [one.action for one in plan.changes if one.resource == f"machine {NAME}"] == ["create"]
    environment.up()
    assert environment.plan().drift == ()
    remove(environment, with_data=False)
    assert environment.plan().drift == (), "that was `destroy`"
    environment.google.deny("compute.instances.create")
    with pytest.raises(CloudError):
        environment.up()
    assert environment.plan().drift == (), "and now another `up` has begun"


def test_a_boot_disk_that_stays_is_seen_and_replaced_with_its_machine(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, BOOT, on=False)
    assert environment.plan().drift == (f"machine {NAME}: boot disk goes with the machine: yes → no",)
    environment.up("gcp.boot_disk_type=pd-ssd")
    assert environment.google.resources("disks")[BOOT]["type"].endswith("/pd-ssd")
    auto_delete(environment, BOOT, on=False)
    environment.up("gcp.boot_disk_type=pd-ssd")
    assert attached(environment, BOOT)["autoDelete"] is True


def test_destroy_takes_a_boot_disk_that_would_stay(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, BOOT, on=False)
    doomed = environment.cloud().removal(with_data=True)
    assert doomed.goes[:2] == (f"machine {NAME}", f"boot disk {BOOT}")
    assert tuple(remove(environment, with_data=True)) == doomed.goes
    assert environment.google.resources("disks") == {}


def test_a_boot_disk_at_another_machine_is_named_before_anything_is_touched(environment: Environment) -> None:
    environment.up()
    kept_boot_disk(environment)
    path = f"projects/{environment.google.project}/zones/{ZONE}"
    user = f"https://www.googleapis.com/compute/v1/{path}/instances/rescue"
    environment.google.edit(f"{path}/disks/{BOOT}", users=[user])
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        environment.up()
    assert refused.value.brief == f"The disk {BOOT} is attached to the machine rescue."
    assert refused.value.resolution == (
        "Detach it, and run the same command again: gcloud compute instances detach-disk rescue"
        f" --disk {BOOT} --project {environment.google.project} --zone {ZONE}"
    )
    assert environment.writes(before) == []


def test_a_strangers_boot_disk_of_our_name_is_left_alone(environment: Environment) -> None:
    cloud = environment.cloud()
    folder = f"{cloud.names.in_zone}/disks"
    kind = f"{cloud.names.in_zone}/diskTypes/pd-balanced"
    cloud.api.compute.do("insert", folder, {"name": BOOT, "sizeGb": "10", "type": kind})
    before = environment.calls()
    for act in (environment.up, lambda: remove(environment, with_data=True)):
        with pytest.raises(CloudError) as refused:
            act()
        assert refused.value.brief == f"There is a disk named {BOOT} in hangar-test that Hangar did not make."
        assert refused.value.details == "* It lacks the label hangar-environment=production."
    assert environment.writes(before) == []
    assert set(environment.google.resources("disks")) == {BOOT}


def test_what_opens_the_machine_is_seen_and_closed(environment: Environment) -> None:
    """An address of the internet's IPv6, whoever may come in by our own rule, a script at the machine's end."""
    environment.up()
    project = environment.google.project
    (link,) = environment.instance["networkInterfaces"]  # type: ignore[misc]
    address = {"name": "external-ipv6", "type": "DIRECT_IPV6", "externalIpv6": "2001:db8::7"}
    metadata: dict[str, Any] = environment.instance["metadata"]  # type: ignore[assignment]
    items = [*metadata["items"], {"key": "shutdown-script-url", "value": "gs://theirs/run"}]
    edit(
        environment, metadata={**metadata, "items": items},
        networkInterfaces=[{**link, "stackType": "IPV4_IPV6", "ipv6AccessConfigs": [address]}],  # type: ignore[dict-item]
    )  # fmt: skip
    rule = f"projects/{project}/global/firewalls/{NAME}-iap"
    account = f"other@{project}.iam.gserviceaccount.com"
    environment.google.edit(rule, sourceServiceAccounts=[account])
    assert environment.plan().drift == (
        f"firewall rule {NAME}-iap: from accounts: none → {account}",
        f"machine {NAME}: IP versions: IPV4_ONLY → IPV4_IPV6",
        f"machine {NAME}: external address: no → yes",
        f"machine {NAME}: metadata shutdown-script-url: none → gs://theirs/run",
    )
    before = environment.calls()
    environment.up()
    assert environment.writes(before) == [
        "compute.firewalls.update", "compute.instances.updateNetworkInterface", "compute.instances.setMetadata",
    ]  # fmt: skip
    assert "sourceServiceAccounts" not in environment.google.resources("firewalls")[f"{NAME}-iap"]
    assert (environment.plan().drift, changes(environment)) == ((), [])


def test_a_machine_that_google_may_take_away_is_seen_and_set_right(environment: Environment) -> None:
    environment.up()
    lasting = {"provisioningModel": "STANDARD", "onHostMaintenance": "MIGRATE", "automaticRestart": True}
    spot = {"provisioningModel": "SPOT", "onHostMaintenance": "TERMINATE", "automaticRestart": False}
    edit(environment, scheduling={**spot, "preemptible": True})
    (change,) = changes(environment)
    assert (change.action, change.detail) == (
        "restart", "the scheduling changes only on a stopped machine",
    )  # fmt: skip
    assert f"machine {NAME}: provisioning: STANDARD → SPOT, preemptible" in environment.plan().drift
    before = environment.calls()
    environment.up()
    assert "compute.instances.setScheduling" in environment.writes(before)
    assert environment.instance["scheduling"] == {**lasting, "preemptible": False}
    assert (environment.instance["status"], changes(environment)) == ("RUNNING", [])


def test_a_strangers_rule_that_opens_the_machine_is_named_and_stays(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    names = cloud.names
    rule = {
        "name": "debug", "network": f"{names.everywhere}/networks/{NAME}", "priority": 50,
        "sourceRanges": ["0.0.0.0/0"], "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    }  # fmt: skip
    folder = f"{names.everywhere}/firewalls"
    cloud.api.compute.do("insert", folder, rule)
    cloud.api.compute.do("insert", folder, {**rule, "name": "weak", "priority": 1000})
    plan = environment.plan()
    assert plan.drift == (
        "firewall rule debug admits tcp:22 from 0.0.0.0/0 to the machine (it stays: Hangar did not make it)",
    )
    assert not plan.has_changes
    environment.up()
    assert "debug" in environment.google.resources("firewalls")


@pytest.mark.parametrize("override", ["", "gcp.machine_type=e2-standard-8"])
def test_a_suspended_machine_is_resumed(environment: Environment, override: str) -> None:
    environment.up()
    edit(environment, status="SUSPENDED")
    overrides = (override,) if override else ()
    (change,) = changes(environment, *overrides)
    stop = ["compute.disks.createSnapshot", "compute.instances.stop", "compute.instances.setMachineType",
            "compute.instances.start", "compute.instances.setMetadata"]  # fmt: skip
    assert (change.action, change.detail) == (
        ("restart", "resume it; a machine type changes only on a stopped machine")
        if override
        else ("update", "resume it")
    )
    before = environment.calls()
    environment.up(*overrides)
    assert environment.writes(before) == ["compute.instances.resume", *(stop if override else ())]
    assert environment.instance["status"] == "RUNNING"
    assert changes(environment, *overrides) == []


def test_start_resumes_a_suspended_machine_and_stop_says_what_it_is(environment: Environment) -> None:
    environment.up()
    machine = InstanceLifecycle(environment.settings())
    edit(environment, status="SUSPENDED")
    with pytest.raises(HangarError) as sleeping:
        machine.stop(environment.said.append)
    assert sleeping.value.brief == f"{NAME} is suspended, not stopped."
    assert sleeping.value.resolution == (
        "Wake it, then stop it: ./provision.py start production, then ./provision.py stop production"
    )
    assert environment.instance["status"] == "SUSPENDED"
    assert machine.start(environment.said.append)
    assert environment.instance["status"] == "RUNNING"
    assert machine.stop(environment.said.append)


def test_a_suspended_machine_can_be_destroyed(environment: Environment) -> None:
    environment.up()
    auto_delete(environment, DATA, on=True)
    edit(environment, status="SUSPENDED")
    remove(environment, with_data=False)
    assert set(environment.google.resources("disks")) == {DATA}


@pytest.mark.parametrize(
    ("kind", "name", "what"),
    [("disks", DATA, f"data disk {DATA}"), ("instances", NAME, f"machine {NAME}"), ("disks", BOOT, "")],
)
def test_labels_that_somebody_took_away_make_nothing_a_strangers(
    environment: Environment, kind: str, name: str, what: str
) -> None:
    """They are set right; and nobody is told to remove what holds the data."""
    environment.up()
    path = f"projects/{environment.google.project}/zones/{ZONE}/{kind}/{name}"
    environment.google.edit(path, labels={"team": "theirs"})
    label = "hangar-environment=production"
    plan = environment.plan()
    assert plan.drift == ((f"{what}: labels: {label} → team=theirs",) if what else ())
    environment.up()
    assert (environment.plan().drift, changes(environment)) == ((), [])
    if what:
        labels = environment.google.resources(kind)[name]["labels"]
        assert (labels["hangar-environment"], "team" in labels) == ("production", False)
    remove(environment, with_data=True)
    assert environment.google.resources("disks") == {}


@pytest.mark.parametrize("other", ["europe-west3-b", "europe-west1-b"])
def test_a_disk_of_our_name_in_another_zone_stands_in_the_way_only_instead_of_ours(
    environment: Environment, other: str
) -> None:
    environment.up()
    cloud = environment.cloud()
    zone = f"projects/{cloud.names.project}/zones/{other}"
    theirs = {"name": DATA, "sizeGb": "10", "type": f"{zone}/diskTypes/pd-balanced"}
    cloud.api.compute.do("insert", f"{zone}/disks", theirs)
    assert not environment.plan().has_changes
    remove(environment, with_data=True)
    assert f"{zone}/disks/{DATA}" in environment.google.resources()
    with pytest.raises(CloudError) as elsewhere:
        environment.plan()
    assert (
        elsewhere.value.brief == f"The disk {DATA} stands in the zone {other}, and platform.yml says {ZONE}."
    )


@pytest.mark.parametrize("what", ["stop", "replacement"])
def test_what_was_not_agreed_to_is_not_done(environment: Environment, what: str) -> None:
    """Somebody's hand comes between the plan that a person said yes to and the work: that is looked at again, and what
    would stop the machine, or throw it away, is asked anew.
    """
    environment.up()
    cloud = environment.cloud("gcp.labels={team: data}")
    agreed = cloud.plan(environment.spec())
    assert [one.action for one in agreed.changes if one.action != "nothing"] == ["update", "update"]
    zone = f"projects/{environment.google.project}/zones/{ZONE}"
    cloud.api.compute.do(
        "set_labels", cloud.names.instance,
        {"labels": {"by": "hand"}, "labelFingerprint": environment.instance["labelFingerprint"]},
    )  # fmt: skip
    if what == "stop":
        edit(environment, machineType=f"{zone}/machineTypes/e2-standard-8")
    else:
        environment.google.edit(f"{zone}/disks/{BOOT}", type=f"{zone}/diskTypes/pd-ssd")
    before = environment.calls()
    with pytest.raises(CloudError) as refused:
        cloud.ensure(agreed, environment.spec(), environment.said.append)
    assert refused.value.brief == f"{NAME} was changed while you looked at the plan."
    assert refused.value.resolution.startswith("Look again: ./provision.py plan production")
    assert not {"compute.instances.stop", "compute.instances.delete"} & set(environment.writes(before))
    environment.up("gcp.labels={team: data}")
    assert changes(environment, "gcp.labels={team: data}") == []


def test_a_role_that_somebody_put_under_a_condition_is_seen_and_given_back(environment: Environment) -> None:
    """It may have ended: the machine would write no logs, and the plan would find nothing to do."""
    environment.up()
    cloud = environment.cloud()
    writes, member = "roles/logging.logWriter", f"serviceAccount:{cloud.names.email}"
    ended = {"title": "until June", "expression": "request.time < timestamp('2026-06-30T00:00:00Z')"}

    def limited(found: dict[str, Any]) -> dict[str, Any]:
        bindings = [one for one in found["bindings"] if one["role"] != writes]
        bindings.append({"role": writes, "members": [member], "condition": ended})
        return {**found, "bindings": bindings, "version": policy.VERSION}

    policy.change(cloud.api, "a test", limited)
    both = f"{writes}, roles/monitoring.metricWriter"
    now = f"{writes} under a condition, roles/monitoring.metricWriter"
    assert environment.plan().drift == (f"service account {NAME}: roles: {both} → {now}",)
    environment.up()
    assert (environment.plan().drift, changes(environment)) == ((), [])
    held = [one for one in policy.get(cloud.api)["bindings"] if member in one["members"]]
    assert {one["role"]: one.get("condition") for one in held} == {
        writes: None, "roles/monitoring.metricWriter": None,
    }  # fmt: skip
