"""What destroy takes and leaves, and the verbs between birth and death."""

from __future__ import annotations

import pytest

from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from hangar.errors import CloudError, HangarError, MachineMissing
from tests.gcp.conftest import KEY, Environment

NAME = "hangar-production"


def remove(environment: Environment, *, with_data: bool) -> list[str]:
    cloud = environment.cloud()
    with cloud.hold("provision.py destroy production"):
        return cloud.destroy(environment.said.append, with_data=with_data)


def test_destroy_keeps_the_data_and_a_new_machine_takes_it_up(environment: Environment) -> None:
    environment.up()
    data = environment.google.resources("disks")[f"{NAME}-data"]["id"]
    doomed = environment.cloud().removal(with_data=False)
    assert (doomed.takes_data, doomed.guarded) == (False, True)
    assert doomed.stays == (
        f"data disk {NAME}-data, 100 GiB (goes with --with-data)", f"snapshot schedule {NAME}-daily",
    )  # fmt: skip
    assert tuple(remove(environment, with_data=False)) == doomed.goes
    left = environment.google.resources()
    assert {path.split("/", 2)[2] for path in left if NAME in path and "/operations/" not in path} == {
        f"zones/europe-west3-a/disks/{NAME}-data", f"regions/europe-west3/resourcePolicies/{NAME}-daily",
    }  # fmt: skip
    environment.up()
    assert environment.google.resources("disks")[f"{NAME}-data"]["id"] == data


def test_destroy_with_data_leaves_nothing(environment: Environment) -> None:
    environment.up()
    doomed = environment.cloud().removal(with_data=True)
    assert (doomed.takes_data, doomed.stays) == (True, ())
    remove(environment, with_data=True)
    assert [path for path in environment.google.resources() if NAME in path] == []
    assert environment.google.table("serviceAccounts") == {}
    assert environment.google.table("buckets") == {}
    (policy,) = environment.google.table("iamPolicies").values()
    assert [one for one in policy["bindings"] if any(NAME in member for member in one["members"])] == []
    assert remove(environment, with_data=True) == []
    assert environment.cloud().server() is None


def test_another_environments_things_stay(environment: Environment) -> None:
    environment.up()
    before = set(environment.google.resources())
    other = environment.cloud()
    other.names = type(other.names)("prod", other.names.project, other.names.zone)
    other.destroy(environment.said.append, with_data=True)
    assert set(environment.google.resources()) == before


def test_destroy_goes_on_where_it_was_interrupted(environment: Environment) -> None:
    environment.up()
    environment.google.fault("compute.routers.delete", "403")
    with pytest.raises(HangarError):
        remove(environment, with_data=True)
    environment.google.clear_faults()
    remove(environment, with_data=True)
    assert [path for path in environment.google.resources() if NAME in path] == []


def test_a_machine_stops_and_starts(environment: Environment) -> None:
    environment.up()
    machine = InstanceLifecycle(environment.settings())
    assert machine.stop(environment.said.append)
    assert environment.cloud().server() is None
    assert not machine.stop(environment.said.append)
    assert machine.start(environment.said.append)
    assert not machine.start(environment.said.append)
    assert environment.cloud().server() is not None


def test_what_is_not_there_cannot_be_stopped(environment: Environment) -> None:
    with pytest.raises(MachineMissing):
        InstanceLifecycle(environment.settings()).stop(environment.said.append)


def test_snapshots_are_taken_listed_and_deleted(environment: Environment) -> None:
    environment.up()
    machine = InstanceLifecycle(environment.settings())
    name = machine.take_snapshot(environment.said.append)
    assert [one.name for one in machine.snapshots()] == [name]
    assert environment.cloud().removal(with_data=True).stays == (
        f"snapshot {name} (./provision.py snapshot production delete {name})",
    )
    machine.delete_snapshot(name, environment.said.append)
    assert machine.snapshots() == []
    with pytest.raises(HangarError) as missing:
        machine.delete_snapshot(name, environment.said.append)
    assert missing.value.brief == f"The environment production has no snapshot {name}."


@pytest.mark.parametrize(
    "name", ["", "a/b", "../instances/hangar-production", "..", "A b", "x?y=z", "x" * 64]
)
def test_what_is_no_name_of_a_snapshot_is_not_asked_for(environment: Environment, name: str) -> None:
    environment.up()
    machine = InstanceLifecycle(environment.settings())
    before = environment.calls()
    for act in (
        lambda: machine.delete_snapshot(name, environment.said.append),
        lambda: machine.restore(name, "recovered", environment.said.append),
    ):
        with pytest.raises(HangarError) as missing:
            act()
        assert missing.value.brief == f"The environment production has no snapshot {name}."
    assert environment.calls() == before


def test_a_snapshot_becomes_a_new_machine_beside_the_old_one(environment: Environment) -> None:
    environment.up()
    machine = InstanceLifecycle(environment.settings())
    name = machine.take_snapshot(environment.said.append)
    assert machine.restore(name, "recovered", environment.said.append) == "hangar-recovered-data"
    disks = environment.google.resources("disks")
    assert disks["hangar-recovered-data"]["sourceSnapshot"].endswith(name)
    assert f"{NAME}-data" in disks
    cloud = environment.cloud()
    cloud.names = type(cloud.names)("recovered", cloud.names.project, cloud.names.zone)
    actions = {change.resource: change.action for change in cloud.plan(environment.spec(KEY)).changes}
    assert actions["data disk hangar-recovered-data"] == "update"
    assert actions["machine hangar-recovered"] == "create"


def test_a_snapshot_does_not_fit_a_smaller_disk(environment: Environment) -> None:
    environment.up()
    name = InstanceLifecycle(environment.settings()).take_snapshot(environment.said.append)
    smaller = InstanceLifecycle(environment.settings("gcp.data_disk.size_gb=50"))
    with pytest.raises(HangarError) as small:
        smaller.restore(name, "recovered", environment.said.append)
    assert small.value.resolution.endswith("--set gcp.data_disk.size_gb=100")


def test_a_strangers_rule_that_keeps_the_network_is_named_before_and_when_it_does(
    environment: Environment,
) -> None:
    """Whatever else goes; and once the rule is gone, the same command finishes."""
    environment.up()
    cloud = environment.cloud()
    folder = f"{cloud.names.everywhere}/firewalls"
    rule = {
        "name": "debug", "network": f"{cloud.names.everywhere}/networks/{NAME}", "sourceRanges": ["10.0.0.0/8"],
        "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}],
    }  # fmt: skip
    cloud.api.compute.do("insert", folder, rule)
    command = f"gcloud compute firewall-rules delete debug --project {environment.google.project}"
    assert cloud.removal(with_data=True).stays == (
        f"firewall rule debug (not Hangar's; the network goes only once it is gone: {command})",
    )
    with pytest.raises(CloudError) as used:
        remove(environment, with_data=True)
    assert used.value.brief == "Something else in the project still uses it."
    assert used.value.resolution.startswith(f"If nobody needs it, remove that rule: {command}\n")
    assert set(environment.google.resources("firewalls")) == {"debug"}
    assert environment.google.resources("disks") == {}
    cloud.api.compute.do("delete", f"{folder}/debug")
    assert remove(environment, with_data=True)[0] == f"network {NAME}"
    assert environment.google.resources("networks") == {}
