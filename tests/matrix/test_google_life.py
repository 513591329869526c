"""The calls of a machine's later life broken in every way: changes, snapshots, its end. Boots nothing.

Whatever broke, the next `up` ends in the right state.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from hangar.cloud.gcp import requests
from hangar.cloud.gcp.life import LastingMachine
from hangar.errors import HangarError
from tests.gcp.conftest import ZONE, Environment, environment, google, google_server, own_sockets
from tests.gcp.test_faults import settle
from tests.matrix.test_google import METHODS, PASSING, refused

__all__ = ["environment", "google", "google_server", "own_sockets"]

NAME = "hangar-production"
CHANGES = (
    "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=200", "gcp.boot_disk_gb=40", "gcp.labels.team=data",
    "gcp.service_roles=[roles/bigquery.jobUser]", "gcp.snapshot_schedule.keep_days=7",
)  # fmt: skip


def edit(environment: Environment, path: str, **fields: Any) -> None:
    environment.google.edit(f"projects/{environment.google.project}/{path}", **fields)


def age(environment: Environment) -> None:
    """An environment of which platform.yml has come to want other things, and which somebody changed by hand."""
    environment.up()
    environment.overrides = CHANGES
    region = "regions/europe-west3"
    edit(environment, f"global/firewalls/{NAME}-iap", sourceRanges=["0.0.0.0/0"])
    edit(
        environment, f"{region}/subnetworks/{NAME}", privateIpGoogleAccess=False, logConfig={"enable": False}
    )
    (nat,) = environment.google.resources("routers")[NAME]["nats"]
    edit(environment, f"{region}/routers/{NAME}", nats=[{**nat, "logConfig": {"enable": False}}])
    _other_disk(environment)
    instance = environment.instance
    (link,) = instance["networkInterfaces"]  # type: ignore[misc]
    (account,) = instance["serviceAccounts"]  # type: ignore[misc]
    boot, *others = instance["disks"]  # type: ignore[misc]
    addresses = {
        "accessConfigs": [{"name": "by-hand", "type": "ONE_TO_ONE_NAT"}], "stackType": "IPV4_IPV6",
        "ipv6AccessConfigs": [{"name": "external-ipv6", "type": "DIRECT_IPV6"}],
    }  # fmt: skip
    edit(
        environment, f"zones/{ZONE}/instances/{NAME}", deletionProtection=False,
        shieldedInstanceConfig={"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True},
        scheduling={"automaticRestart": False, "onHostMaintenance": "TERMINATE", "provisioningModel": "SPOT"},
        disks=[{**boot, "autoDelete": False}, *others],  # type: ignore[dict-item]
        networkInterfaces=[{**link, **addresses}],  # type: ignore[dict-item]
        serviceAccounts=[{**account, "scopes": ["https://www.googleapis.com/auth/logging.write"]}],  # type: ignore[dict-item]
    )  # fmt: skip


def _other_disk(environment: Environment) -> None:
    """The data disk has another schedule and hangs on nothing; a stranger's hangs in its place."""
    cloud = environment.cloud()
    names, do = cloud.names, cloud.api.compute.do
    schedule = requests.snapshot_policy(cloud.look(environment.spec())[0])
    do("insert", f"{names.in_region}/resourcePolicies", {**schedule, "name": "other"})
    policies = {"resourcePolicies": [f"{names.in_region}/resourcePolicies/{names.policy}"]}
    do("remove_resource_policies", f"{names.in_zone}/disks/{names.data_disk}", policies)
    policies = {"resourcePolicies": [f"{names.in_region}/resourcePolicies/other"]}
    do("add_resource_policies", f"{names.in_zone}/disks/{names.data_disk}", policies)
    do("detach_disk", names.instance, device_name=requests.DATA_DEVICE)
    kind = f"{names.in_zone}/diskTypes/pd-balanced"
    do("insert", f"{names.in_zone}/disks", {"name": "stranger", "sizeGb": "10", "type": kind})
    other = {"source": f"{names.in_zone}/disks/stranger", "deviceName": "stranger", "autoDelete": False}
    do("attach_disk", names.instance, other)


def live(environment: Environment) -> None:
    cloud = environment.cloud()
    machine = LastingMachine(cloud.config, cloud)
    machine.stop(environment.said.append)
    machine.start(environment.said.append)
    edit(environment, f"zones/{ZONE}/instances/{NAME}", status="SUSPENDED")
    machine.start(environment.said.append)
    name = machine.take_snapshot(environment.said.append)
    assert [one.name for one in machine.snapshots()] == [name]
    machine.delete_snapshot(name, environment.said.append)


def end(environment: Environment) -> None:
    cloud = environment.cloud()
    with cloud.hold("provision.py destroy production"):
        cloud.removal(with_data=True)
        cloud.destroy(environment.said.append, with_data=True)


OF_CHANGE = (
    "compute.disks.addResourcePolicies", "compute.disks.createSnapshot", "compute.disks.removeResourcePolicies",
    "compute.disks.resize", "compute.disks.setLabels", "compute.firewalls.update", "compute.instances.attachDisk",
    "compute.instances.deleteAccessConfig", "compute.instances.detachDisk",
    "compute.instances.setDeletionProtection", "compute.instances.setDiskAutoDelete", "compute.instances.setLabels",
    "compute.instances.setMachineType", "compute.instances.setScheduling", "compute.instances.setServiceAccount",
    "compute.instances.start", "compute.instances.stop", "compute.instances.updateNetworkInterface",
    "compute.instances.updateShieldedInstanceConfig", "compute.resourcePolicies.patch", "compute.routers.patch",
    "compute.snapshots.get", "compute.subnetworks.patch", "compute.subnetworks.setPrivateIpGoogleAccess",
)  # fmt: skip
OF_LIFE = (
    "compute.disks.createSnapshot", "compute.instances.resume", "compute.instances.start", "compute.instances.stop",
    "compute.snapshots.delete", "compute.snapshots.get", "compute.snapshots.list",
)  # fmt: skip
OF_THE_END = (
    "compute.disks.delete", "compute.firewalls.delete", "compute.instances.delete",
    "compute.instances.setDeletionProtection", "compute.networks.delete", "compute.resourcePolicies.delete",
    "compute.routers.delete", "compute.snapshots.list", "compute.subnetworks.delete",
    "iam.projects.serviceAccounts.delete", "storage.buckets.delete",
)  # fmt: skip

Act = Callable[[Environment], object]
SCENES: dict[str, tuple[Act, Act, tuple[str, ...]]] = {
    "change": (age, Environment.up, OF_CHANGE),
    "life": (Environment.up, live, OF_LIFE),
    "end": (Environment.up, end, OF_THE_END),
}
CASES = [(scene, method) for scene, (_, _, methods) in SCENES.items() for method in methods]
REFUSED = [(scene, *case) for scene, (_, _, methods) in SCENES.items() for case in refused(*methods)]


def settle_all(environment: Environment) -> None:
    environment.google.clear_faults()
    environment.up()
    here = {path for path in environment.google.resources() if path.endswith(("/stranger", "/other"))}
    for path in here:  # what was nobody's of Hangar's was left alone
        environment.google.remove(path)
    settle(environment)


@pytest.mark.parametrize("scene", SCENES)
def test_the_matrix_holds_every_method_of_its_scene_that_up_alone_does_not_call(
    environment: Environment, scene: str
) -> None:
    before, act, methods = SCENES[scene]
    before(environment)
    since = environment.calls()
    act(environment)
    called = {call["method"].replace(".v1", "") for call in environment.google.journal(since=since)}
    assert called - set(METHODS) == set(methods)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize(("scene", "method"), CASES)
def test_what_passes_is_not_noticed(environment: Environment, scene: str, method: str, kind: str) -> None:
    before, act, _ = SCENES[scene]
    before(environment)
    fault = environment.google.fault(f"{method}*", kind)
    act(environment)
    assert environment.google.fired(fault) == 1
    settle_all(environment)


@pytest.mark.parametrize(("scene", "method", "kind"), REFUSED)
def test_what_was_refused_once_is_right_after_the_next_up(
    environment: Environment, scene: str, method: str, kind: str
) -> None:
    before, act, _ = SCENES[scene]
    before(environment)
    fault = environment.google.fault(f"{method}*", kind, code="INTERNAL_ERROR", message="Something broke.")
    with contextlib.suppress(HangarError):
        act(environment)
    assert environment.google.fired(fault) == 1
    settle_all(environment)
