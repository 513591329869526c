"""How an instance refers to its machine type and to its disks."""

from typing import Any

from tests.google.compute import link
from tests.google.compute.catalog import MACHINE_TYPES
from tests.google.compute.resources import find, resolve
from tests.google.errors import in_use, invalid
from tests.google.world import Call


def machine_type(call: Call, value: str) -> str:
    zone = call.values["zone"]
    path = resolve(value, f"projects/{call.project}/zones/{zone}", call)
    name = path.split("/")[-1]
    if path != f"projects/{call.project}/zones/{zone}/machineTypes/{name}":
        raise invalid("resource.machineType", value, "The URL is malformed.")
    if name not in MACHINE_TYPES:
        why = f"Machine type with name '{name}' does not exist in zone '{zone}'."
        raise invalid("resource.machineType", value, why)
    return link(path)


def describe_attachment(attached: dict[str, Any], disk: dict[str, Any], place: int) -> dict[str, Any]:
    """An instance's own view of a disk."""
    described = {
        "type": "PERSISTENT",
        "mode": "READ_WRITE",
        "boot": False,
        "autoDelete": False,
        "deviceName": f"persistent-disk-{place}",
        **attached,
        "kind": "compute#attachedDisk",
        "index": place,
        "interface": attached.get("interface", "SCSI"),
        "source": disk["selfLink"],
        "diskSizeGb": disk["sizeGb"],
        "architecture": "X86_64",
    }
    for name in ("licenses", "guestOsFeatures", "diskEncryptionKey"):
        if name in disk:
            described[name] = disk[name]
    return described


def require_free(call: Call, path: str, mode: str) -> None:
    disk = find(call, path)
    if disk["zone"].split("/")[-1] != call.values["zone"]:
        raise invalid("source", path, "The disk is in another zone than the instance.")
    users = disk.get("users", ())
    if users and mode == "READ_WRITE":
        raise in_use(path, users[0].split("/v1/")[-1])
