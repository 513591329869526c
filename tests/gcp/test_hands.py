"""What hands beside Hangar do to a machine: seen by the plan, set right by `up`, and no loss at the end."""

from __future__ import annotations

import re
from typing import Any

import pytest

from hangar.cloud.gcp import policy
from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from hangar.errors import CloudError, HangarError
from tests.gcp.conftest import ZONE, Environment
from tests.gcp.hands import BOOT, DATA, NAME, auto_delete, changes, edit
from tests.gcp.test_removal import remove


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


def test_what_opens_the_machine_is_seen_and_closed(environment: Environment) -> None:
    """An address of the internet's IPv6, whoever may come in by our own rule, a script at the machine's end."""
    environment.up()
    project = environment.google.project
    (link,) = environment.instance["networkInterfaces"]
    address = {"name": "external-ipv6", "type": "DIRECT_IPV6", "externalIpv6": "2001:db8::7"}
    metadata: dict[str, Any] = environment.instance["metadata"]
    items = [*metadata["items"], {"key": "shutdown-script-url", "value": "gs://theirs/run"}]
    edit(
        environment, metadata={**metadata, "items": items},
        networkInterfaces=[{**link, "stackType": "IPV4_IPV6", "ipv6AccessConfigs": [address]}],
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
