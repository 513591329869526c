"""A machine that is changed, stopped, started and removed."""

from __future__ import annotations

from hangar.cloud.gcp import requests
from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from tests.gcp.conftest import ZONE, Environment
from tests.gcp.scenes.scene import edit
from tests.gcp.test_host_keys import NAME

CHANGES = (
    "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=200", "gcp.boot_disk_gb=40", "gcp.labels.team=data",
    "gcp.service_roles=[roles/bigquery.jobUser]", "gcp.snapshot_schedule.keep_days=7",
)  # fmt: skip


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
    (link,) = instance["networkInterfaces"]
    (account,) = instance["serviceAccounts"]
    boot, *others = instance["disks"]
    addresses = {
        "accessConfigs": [{"name": "by-hand", "type": "ONE_TO_ONE_NAT"}], "stackType": "IPV4_IPV6",
        "ipv6AccessConfigs": [{"name": "external-ipv6", "type": "DIRECT_IPV6"}],
    }  # fmt: skip
    edit(
        environment, f"zones/{ZONE}/instances/{NAME}", deletionProtection=False,
        shieldedInstanceConfig={"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True},
        scheduling={"automaticRestart": False, "onHostMaintenance": "TERMINATE", "provisioningModel": "SPOT"},
        disks=[{**boot, "autoDelete": False}, *others],
        networkInterfaces=[{**link, **addresses}],
        serviceAccounts=[{**account, "scopes": ["https://www.googleapis.com/auth/logging.write"]}],
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
    machine = InstanceLifecycle(cloud.config, cloud)
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
