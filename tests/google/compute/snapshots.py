"""Snapshots: made from a disk, kept apart from it."""

from typing import Any

from tests.google import operations
from tests.google.compute.disks import DISKS
from tests.google.compute.resources import KINDS, check_labels, describe, find, find_ready, new, refer
from tests.google.errors import stale
from tests.google.held import handle, held
from tests.google.operations import effect
from tests.google.state import fingerprint
from tests.google.world import PERMISSIONS, Call, World, handles

SNAPSHOTS = KINDS["snapshots"]


@handles("compute.disks.createSnapshot")
def create(call: Call) -> dict[str, Any]:
    disk = DISKS.path(call)
    find_ready(call, disk)
    return _make(call, disk)


@handles("compute.snapshots.insert")
def insert(call: Call) -> dict[str, Any]:
    return _make(call, refer(call, "resource.sourceDisk", call.body.get("sourceDisk", ""), "disks"))


def _make(call: Call, disk_path: str) -> dict[str, Any]:
    disk = find(call, disk_path)
    path, draft = new(call, SNAPSHOTS)
    labels = draft.get("labels", {})
    snapshot = describe(
        call,
        SNAPSHOTS,
        path,
        {
            **call.body,
            "status": "CREATING",
            "sourceDisk": disk["selfLink"],
            "sourceDiskId": disk["id"],
            "diskSizeGb": disk["sizeGb"],
            "storageBytes": "0",
            "storageBytesStatus": "UPDATING",
            "downloadBytes": "0",
            "autoCreated": False,
            "snapshotType": "STANDARD",
            "architecture": "X86_64",
            "storageLocations": call.body.get("storageLocations")
            or [disk["zone"].split("/")[-1].rsplit("-", 1)[0]],
            "labelFingerprint": fingerprint(labels),
            **({"diskEncryptionKey": disk["diskEncryptionKey"]} if "diskEncryptionKey" in disk else {}),
        },
    )
    call.state.resources[path] = snapshot
    target = disk_path if call.method.id.startswith("compute.disks") else path
    return operations.begin(call, target, "snapshot ready", undo="snapshot gone", snapshot=path)


@effect("snapshot ready")
def ready(world: World, operation: dict[str, Any]) -> None:
    path, resources = operation["_work"]["snapshot"], world.state.resources
    snapshot, machines = resources[path], world.machines
    disk = snapshot["sourceDisk"].split("/v1/")[-1]
    if machines is not None and disk in resources:
        source, target = handle(disk, resources[disk]), handle(path, snapshot)
        if held(world, operation, lambda: machines.copy_disk(source, target)):
            return
    snapshot.update(status="READY", storageBytes="123456789", storageBytesStatus="UP_TO_DATE")


@effect("snapshot gone")
def gone(world: World, operation: dict[str, Any]) -> None:
    world.state.resources.pop(operation["_work"]["snapshot"], None)


@handles("compute.snapshots.delete")
def delete(call: Call) -> dict[str, Any]:
    path = SNAPSHOTS.path(call)
    find_ready(call, path)["status"] = "DELETING"
    return operations.begin(call, path, "remove disk", undo="disk stays")


@handles("compute.snapshots.setLabels", "compute.disks.setLabels", "compute.instances.setLabels")
def set_labels(call: Call) -> dict[str, Any]:
    kind = KINDS[call.method.id.split(".")[1]]
    path = f"{kind.folder(call)}/{call.values.get('resource') or call.values[kind.singular]}"
    resource = find(call, path)
    if call.body.get("labelFingerprint") != resource["labelFingerprint"]:
        raise stale("Labels fingerprint either invalid or resource labels have changed")
    labels = call.body.get("labels", {})
    check_labels(labels)
    resource.pop("labels", None)
    if labels:
        resource["labels"] = labels
    resource["labelFingerprint"] = fingerprint(labels)
    return operations.begin(call, path)


def _create_permissions(call: Call) -> list[str]:
    labels = ["compute.snapshots.setLabels"] if call.body.get("labels") else []
    return ["compute.disks.createSnapshot", "compute.snapshots.create", *labels]


for _method in ("compute.disks.createSnapshot", "compute.snapshots.insert"):
    PERMISSIONS[_method] = _create_permissions
