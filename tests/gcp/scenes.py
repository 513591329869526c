"""What Hangar does on Google Cloud in scenes, so that every method that it calls can go wrong once in each way.

`before` makes what there is, `act` is what is disturbed. After it the next `up` (or, where that is said, the same
command once more) ends in the right state: `after` judges it.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from hangar import cli, config, paths
from hangar.backup.bucket import Bucket
from hangar.checks import google as doctor
from hangar.cloud.base import MachineSpec
from hangar.cloud.gcp import admission, host_keys, lock, requests
from hangar.cloud.gcp.driver import GoogleCloud
from hangar.cloud.gcp.life import LastingMachine
from hangar.errors import CloudError, HangarError
from tests.gcp import methods, test_doctor, test_secrets, test_watching
from tests.gcp.conftest import KEY, ZONE, Environment
from tests.gcp.test_faults import settle
from tests.gcp.test_host_keys import NAME

DATA, BOOT = f"{NAME}-data", f"{NAME}-boot"
RECOVERED = "hangar-recovered"
CHANGES = (
    "gcp.machine_type=e2-standard-8", "gcp.data_disk.size_gb=200", "gcp.boot_disk_gb=40", "gcp.labels.team=data",
    "gcp.service_roles=[roles/bigquery.jobUser]", "gcp.snapshot_schedule.keep_days=7",
)  # fmt: skip
ANEW = ("gcp.boot_disk_type=pd-ssd",)
MARK = "This disk holds somebody's data."

Act = Callable[[Environment], object]


def settle_all(environment: Environment) -> None:
    environment.google.clear_faults()
    unlock(environment)
    environment.up()
    here = {path for path in environment.google.resources() if path.endswith(("/stranger", "/other"))}
    for path in here:  # what was nobody's of Hangar's was left alone
        environment.google.remove(path)
    settle(environment)


@dataclass(frozen=True)
class Scene:
    """`calls` are the methods to be disturbed in it."""

    before: Act
    act: Act
    calls: tuple[str, ...]
    after: Act = settle_all


def nothing(environment: Environment) -> None:
    """An empty project."""


def unlock(environment: Environment) -> None:
    """The lock itself may be what could not be let go."""
    cloud = environment.cloud()
    if f"{cloud.names.bucket}/production" in environment.google.table("objects"):
        with cloud.hold("provision.py up production", break_lock=True):
            pass


def edit(environment: Environment, path: str, **fields: Any) -> None:
    environment.google.edit(f"projects/{environment.google.project}/{path}", **fields)


# Changes


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
    machine = LastingMachine(cloud.config, cloud)
    machine.stop(environment.said.append)
    machine.start(environment.said.append)
    edit(environment, f"zones/{ZONE}/instances/{NAME}", status="SUSPENDED")
    machine.start(environment.said.append)
    name = machine.take_snapshot(environment.said.append)
    assert [one.name for one in machine.snapshots()] == [name]
    machine.delete_snapshot(name, environment.said.append)


# Made anew


def outdate(environment: Environment) -> None:
    """A machine that has to be made anew. By hand its boot disk was told to stay and its data disk to go with it."""
    environment.up()
    edit(environment, f"zones/{ZONE}/disks/{DATA}", description=MARK)
    boot, data = environment.instance["disks"]
    disks = [{**boot, "autoDelete": False}, {**data, "autoDelete": True}]
    edit(environment, f"zones/{ZONE}/instances/{NAME}", disks=disks)
    environment.overrides = ANEW


def require_anew(environment: Environment) -> None:
    """The new machine stands once, around the data disk of the old one."""
    settle_all(environment)
    disks = environment.google.resources("disks")
    assert disks[BOOT]["type"].endswith("/pd-ssd")
    assert disks[DATA]["description"] == MARK
    assert disks[DATA]["users"] == [environment.instance["selfLink"]]
    # Each `up` that throws a machine away saves its data before; one that was broken off after that had saved them too.
    assert len(environment.google.resources("snapshots")) in (1, 2)


# A machine from a snapshot, beside the old one


def take(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    LastingMachine(cloud.config, cloud).take_snapshot(environment.said.append)


def restore(environment: Environment) -> None:
    (name,) = environment.google.resources("snapshots")
    if cli.main(["restore", "production", "--from", name, "--to", "recovered"]) != 0:
        raise HangarError("as was said")


def require_restored(environment: Environment) -> None:
    """The same command finishes it, `up` makes a machine around that disk, and the old machine has nothing to do."""
    environment.google.clear_faults()
    unlock(environment)
    if not paths.env_dir("recovered").exists():
        restore(environment)
    (name,) = environment.google.resources("snapshots")
    disk = environment.google.resources("disks")[f"{RECOVERED}-data"]
    assert disk["sourceSnapshot"].endswith(f"/{name}")
    cloud = GoogleCloud(config.load("recovered"))
    spec = MachineSpec("recovered", RECOVERED, None, None, None, "hangar", KEY)
    cloud.ensure(cloud.plan(spec), spec, environment.said.append)
    found = environment.google.resources("disks")
    assert set(found) == {BOOT, DATA, f"{RECOVERED}-boot", f"{RECOVERED}-data"}
    assert found[f"{RECOVERED}-data"]["id"] == disk["id"]
    cloud.destroy(environment.said.append, with_data=True)
    settle_all(environment)


# People, secrets, monitoring


def come(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    admission.ensure(cloud.api, cloud.names, ["ana@example.org"])


def leave(environment: Environment) -> None:
    cloud = environment.cloud()
    admission.restrict(cloud.api, cloud.names, ())


def require_shut(environment: Environment) -> None:
    settle_all(environment)
    (policy,) = environment.google.table("iamPolicies").values()
    assert [one for one in policy["bindings"] if one["role"] == admission.ROLE] == []


def give(environment: Environment) -> None:
    """The machine reads one secret; from now on it is to read others in its place."""
    test_secrets.make(environment, *test_secrets.NAMES)
    test_secrets.say(airflow={})
    environment.up()
    test_secrets.say(monitoring={})


def require_secrets(environment: Environment) -> None:
    settle_all(environment)
    machine = [test_secrets.MACHINE]
    assert test_secrets.readers(environment) == {"erp": machine, "token": machine}


def want_watch(environment: Environment) -> None:
    """A channel of somebody else's, which is told too."""
    environment.up()
    made = environment.cloud().api.rest.call(
        "POST", "monitoring", f"v3/projects/{test_watching.PROJECT}/notificationChannels",
        {"type": "slack", "displayName": "by hand", "labels": {"channel_name": "#data"}},
    )  # fmt: skip
    given = {**test_watching.ON["alerts"], "team": {"kind": "google", "channel": made["name"]}}
    test_watching.say({"backend": "google", "alerts": given})


def watch(environment: Environment) -> None:
    test_watching.say(test_watching.ON)
    environment.up()


def want_other_watch(environment: Environment) -> None:
    """Another address, a policy and a dashboard that a hand has changed, a part of the machine that is no more."""
    watch(environment)
    test_watching.say(
        {"backend": "google", "alerts": {"duty": {"kind": "google", "to": "night@example.org"}}}
    )
    full = test_watching.policies(environment)["diskfull"]
    environment.google.edit_table("alertPolicies", full["name"], **{**full, "enabled": False})
    ((path, board),) = environment.google.table("dashboards").items()
    board["mosaicLayout"]["tiles"][0]["widget"]["xyChart"]["dataSets"].pop()
    environment.google.edit_table("dashboards", path, **board)
    environment.overrides = ("warehouse.enabled=false",)


def require_watched(environment: Environment) -> None:
    settle_all(environment)
    assert all(one["enabled"] for one in test_watching.policies(environment).values())
    assert len(environment.google.table("dashboards")) == 1
    ours = [
        one for one in environment.google.table("notificationChannels").values() if one["type"] == "email"
    ]
    assert len(ours) == 1


def want_no_watch(environment: Environment) -> None:
    watch(environment)
    test_watching.say({})


def require_unwatched(environment: Environment) -> None:
    settle_all(environment)
    for table in ("alertPolicies", "notificationChannels", "dashboards"):
        assert environment.google.table(table) == {}


# Locks


def _locked_by(environment: Environment, computer: str, process: int) -> None:
    cloud = environment.cloud()
    holder = {
        "who": "ana@laptop", "computer": computer, "process": process, "command": "provision.py up production",
        "since": 1_700_000_000.0, "call": "another",
    }  # fmt: skip
    cloud.api.rest.call(
        "POST", "upload", f"b/{cloud.names.bucket}/o", content=json.dumps(holder).encode(),
        params={"uploadType": "media", "name": "production"},
    )  # fmt: skip


def lock_out(environment: Environment) -> None:
    """A call on another computer has the lock, or had it when it was killed: nobody here knows."""
    environment.up()
    _locked_by(environment, "laptop/0242ac110002", 1)


def break_lock(environment: Environment) -> None:
    with environment.cloud().hold("provision.py up production", break_lock=True):
        environment.plan()


def die(environment: Environment) -> None:
    """A call of this computer that was killed has it."""
    environment.up()
    with subprocess.Popen(["true"]) as over:
        pass
    _locked_by(environment, str(lock._ourselves()["computer"]), over.pid)


def take_over(environment: Environment) -> None:
    with environment.cloud().hold("provision.py up production"):
        environment.plan()


# Hints beside another failure, which stays the one that is told


def find_nothing_left(environment: Environment) -> None:
    environment.google.exhaust(ZONE)
    try:
        with pytest.raises(CloudError) as out:
            environment.up()
    finally:
        environment.google.exhaust()
    assert "ZONE_RESOURCE_POOL_EXHAUSTED" in out.value.details


def hear_nothing(environment: Environment) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host_keys, "LIMIT", 0.0)
        patch.setattr(host_keys, "_read", lambda api, wanted: ())
        with pytest.raises(CloudError) as silent:
            environment.up()
    assert silent.value.brief.startswith(f"{NAME} told no SSH host keys within")


# What only looks


def pin(environment: Environment) -> None:
    environment.overrides = ("gcp.image=debian-13-trixie-v20261110",)


def examine(environment: Environment) -> None:
    ill = [one for one in doctor.look(environment.settings(*environment.overrides)) if one.state != "ok"]
    if ill:
        raise HangarError(str(ill))


def lock_disks(environment: Environment) -> None:
    environment.overrides = (f"gcp.kms_key={test_doctor.make_key(environment)}",)
    environment.up()


def keep_backups(environment: Environment) -> None:
    environment.up()
    environment.overrides = ("backup.gcs.bucket=acme-backups", "backup.gcs.folder=hangar/production")
    rest = environment.cloud().api.rest
    rest.call("POST", "storage", "b", {"name": "acme-backups"}, {"project": environment.google.project})
    asked = {"uploadType": "media", "name": "hangar/production/20261101T031500Z.json"}
    rest.call("POST", "upload", "b/acme-backups/o", content=b"{}", params=asked)


def read_backups(environment: Environment) -> None:
    there = Bucket(environment.settings(*environment.overrides))
    assert there.sizes() == {"20261101T031500Z.json": 2}
    assert there.indexes(there.sizes()) == []  # such an index is torn


# The end


def end(environment: Environment) -> None:
    cloud = environment.cloud()
    with cloud.hold("provision.py destroy production"):
        cloud.removal(with_data=True)
        cloud.destroy(environment.said.append, with_data=True)


SCENES = {
    "change": Scene(age, Environment.up, methods.CHANGE),
    "life": Scene(Environment.up, live, methods.LIFE),
    "replace": Scene(outdate, Environment.up, methods.REPLACE, require_anew),
    "restore": Scene(take, restore, methods.RESTORE, require_restored),
    "leave": Scene(come, leave, methods.LEAVE, require_shut),
    "secrets": Scene(give, Environment.up, methods.SECRETS, require_secrets),
    "watch": Scene(want_watch, Environment.up, methods.WATCH, require_watched),
    "watch otherwise": Scene(want_other_watch, Environment.up, methods.WATCH_OTHERWISE, require_watched),
    "watch no more": Scene(want_no_watch, Environment.up, methods.WATCH_NO_MORE, require_unwatched),
    "break lock": Scene(lock_out, break_lock, methods.BREAK_LOCK),
    "dead lock": Scene(die, take_over, methods.DEAD_LOCK),
    "exhausted": Scene(nothing, find_nothing_left, methods.EXHAUSTED),
    "silent": Scene(nothing, hear_nothing, methods.SILENT),
    "pinned": Scene(pin, Environment.up, methods.PINNED),
    "doctor": Scene(Environment.up, examine, methods.DOCTOR),
    "doctor of secrets": Scene(give, examine, methods.DOCTOR_OF_SECRETS, require_secrets),
    "doctor of a key": Scene(lock_disks, examine, methods.DOCTOR_OF_KEY),
    "backups": Scene(keep_backups, read_backups, methods.BACKUPS),
    "end": Scene(Environment.up, end, methods.END),
}


def withstand(environment: Environment, name: str, method: str, kind: str) -> None:
    """The scene `name`, in which the method goes wrong once in this way and `act` does not fail by it."""
    scene = SCENES[name]
    scene.before(environment)
    fault = environment.google.fault(method, kind)
    scene.act(environment)
    assert environment.google.fired(fault) == 1
    scene.after(environment)
