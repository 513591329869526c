"""A machine that is made anew, and one beside it with the data of a snapshot."""

from __future__ import annotations

from hangar import cli, config, paths
from hangar.cloud.base import MachineSpec
from hangar.cloud.gcp.driver import GoogleCloud
from hangar.cloud.gcp.lifecycle import InstanceLifecycle
from hangar.errors import HangarError
from tests.gcp.conftest import KEY, ZONE, Environment
from tests.gcp.scenes.scene import BOOT, DATA, edit, settle_all, unlock
from tests.gcp.test_host_keys import NAME

RECOVERED = "hangar-recovered"
ANEW = ("gcp.boot_disk_type=pd-ssd",)
MARK = "This disk holds somebody's data."


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


def take(environment: Environment) -> None:
    environment.up()
    cloud = environment.cloud()
    InstanceLifecycle(cloud.config, cloud).take_snapshot(environment.said.append)


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
