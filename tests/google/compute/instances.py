"""Instances: made, deleted, and what stands in them from the first moment."""

import ipaddress
from typing import Any

from tests.google import operations, permissions
from tests.google.compute import changes, guests, link, power
from tests.google.compute.attachments import describe_attachment, machine_type, require_free
from tests.google.compute.catalog import region_of
from tests.google.compute.disks import (
    attach,
    detach,
    drop,
    from_parameters,
    insert_permissions,
    refuse_beyond_quota,
)
from tests.google.compute.resources import KINDS, find, new, refer, required_body, resolve
from tests.google.errors import GoogleError, invalid, required
from tests.google.held import held
from tests.google.operations import effect
from tests.google.state import fingerprint
from tests.google.world import PERMISSIONS, Call, World, handles

INSTANCES = KINDS["instances"]
PARTS = (changes, guests, power)
"""The rest of what an instance answers."""

SCHEDULING = {
    "onHostMaintenance": "MIGRATE",
    "automaticRestart": True,
    "preemptible": False,
    "provisioningModel": "STANDARD",
}
SHIELDED = {"enableSecureBoot": False, "enableVtpm": True, "enableIntegrityMonitoring": True}


@handles("compute.instances.insert")
def insert(call: Call) -> dict[str, Any]:
    required_body(call, "name", "machineType", "disks", "networkInterfaces")
    zone = call.values["zone"]
    path, instance = new(call, INSTANCES)
    instance["machineType"] = machine_type(call, call.body["machineType"])
    disks = [_disk(call, one, place, path) for place, one in enumerate(call.body["disks"])]
    if [attached["boot"] for attached, _, _ in disks] != [True, *[False] * (len(disks) - 1)]:
        raise invalid(
            "resource.disks", len(disks), "Exactly one disk must be a boot disk, and it must be the first."
        )
    _complete(call, instance, disks)
    made = _keep(call, path, instance, disks)
    operation = operations.begin(call, path, "instance runs", undo="instance gone", made=made)
    refuse_beyond_quota(call, zone, operation)
    kept = call.state.operations[_path_of(call, operation)]
    power.refuse_without_stock(call.world, kept)
    if instance.get("serviceAccounts") and permissions.may_not_act(call):
        said = permissions.cannot_act(call, instance["serviceAccounts"][0]["email"])
        operations.will_fail(kept, permissions.ACCESS_DENIED, said)
    return operation


Attached = tuple[dict[str, Any], str, dict[str, Any] | None]
"""How a disk is attached, its path, and the disk itself where it is to be made."""


def _disk(call: Call, given: dict[str, Any], place: int, instance: str) -> Attached:
    attached = {name: value for name, value in given.items() if name != "initializeParams"}
    made = None
    if given.get("source"):
        path = refer(call, f"resource.disks[{place}].source", given["source"], "disks")
        require_free(call, path, given.get("mode", "READ_WRITE"))
        disk = find(call, path)
    elif given.get("initializeParams"):
        name = instance.split("/")[-1] + (f"-{place}" if place else "")
        path, made = from_parameters(call, given, call.values["zone"], name)
        disk = made
    else:
        raise required(f"resource.disks[{place}].source")
    return describe_attachment(attached, disk, place), path, made


def _complete(call: Call, instance: dict[str, Any], disks: list[Attached]) -> None:
    body = call.body
    instance.update(
        status="PROVISIONING",
        disks=[attached for attached, _, _ in disks],
        networkInterfaces=[
            _interface(call, one, place) for place, one in enumerate(body["networkInterfaces"])
        ],
        metadata=changes.metadata(body.get("metadata", {})),
        tags=changes.tags(body.get("tags", {})),
        labelFingerprint=fingerprint(body.get("labels", {})),
        scheduling={**SCHEDULING, **body.get("scheduling", {})},
        shieldedInstanceConfig={**SHIELDED, **body.get("shieldedInstanceConfig", {})},
        shieldedInstanceIntegrityPolicy={"updateAutoLearnPolicy": True},
        reservationAffinity=body.get("reservationAffinity") or {"consumeReservationType": "ANY_RESERVATION"},
        cpuPlatform="Intel Broadwell",
        fingerprint=fingerprint(instance["id"]),
    )
    for name in ("canIpForward", "deletionProtection", "startRestricted"):
        instance.setdefault(name, False)
    features = {one["type"] for one in instance["disks"][0].get("guestOsFeatures", ())}
    if instance["shieldedInstanceConfig"]["enableSecureBoot"] and "UEFI_COMPATIBLE" not in features:
        raise invalid(
            "resource.shieldedInstanceConfig", True, "Secure Boot needs an image that is UEFI_COMPATIBLE."
        )
    if body.get("serviceAccounts"):
        instance["serviceAccounts"] = changes.service_accounts(call, body["serviceAccounts"])


def _keep(call: Call, path: str, instance: dict[str, Any], disks: list[Attached]) -> list[str]:
    """Keeps the instance and its disks; returns those that were made for it."""
    made = []
    for _, disk_path, disk in disks:
        if disk is not None:
            if disk_path in made:
                raise invalid("resource.disks", disk_path, "Two disks have the same name.")
            call.state.resources[disk_path] = disk
            made.append(disk_path)
        attach(call.state.resources[disk_path], path)
    call.state.resources[path] = instance
    return made


def _interface(call: Call, given: dict[str, Any], place: int) -> dict[str, Any]:
    """The interface in its subnetwork, with the next free address of it."""
    field = f"resource.networkInterfaces[{place}]"
    if not given.get("subnetwork"):
        network = call.state.resources[refer(call, f"{field}.network", given.get("network", ""), "networks")]
        if not network["autoCreateSubnetworks"]:
            why = "Network interface must specify a subnet if the network resource is in custom subnet mode."
            raise GoogleError(400, why, "invalid")
        raise invalid(f"{field}.network", given["network"], "The stand-in makes no automatic subnetworks.")
    path = refer(call, f"{field}.subnetwork", given["subnetwork"], "subnetworks")
    subnetwork = call.state.resources[path]
    if path.split("/")[3] != region_of(call.values["zone"]):
        raise invalid(f"{field}.subnetwork", path, "The subnetwork is in another region than the instance.")
    network = (
        resolve(given["network"], f"projects/{call.project}/global/networks", call)
        if given.get("network")
        else ""
    )
    if network and link(network) != subnetwork["network"]:
        raise invalid(f"{field}.network", given["network"], "The subnetwork belongs to another network.")
    interface = {
        "kind": "compute#networkInterface",
        "stackType": "IPV4_ONLY",
        **given,
        "name": f"nic{place}",
        "network": subnetwork["network"],
        "subnetwork": subnetwork["selfLink"],
        "networkIP": given.get("networkIP") or _free_address(call, subnetwork),
    }
    if given.get("accessConfigs"):
        interface["accessConfigs"] = [changes.access_config(one) for one in given["accessConfigs"]]
    interface["fingerprint"] = fingerprint(interface)
    return interface


def _free_address(call: Call, subnetwork: dict[str, Any]) -> str:
    taken = {
        interface["networkIP"]
        for other in call.state.resources.values()
        for interface in other.get("networkInterfaces", ())
        if interface["subnetwork"] == subnetwork["selfLink"]
    }
    hosts = ipaddress.ip_network(subnetwork["ipCidrRange"]).hosts()
    next(hosts)  # the gateway's
    for address in hosts:
        if str(address) not in taken:
            return str(address)
    raise GoogleError(400, f"IP space of '{subnetwork['selfLink']}' is exhausted.", "ipSpaceExhausted")


@effect("instance gone")
def instance_gone(world: World, operation: dict[str, Any]) -> None:
    """A failed insert leaves nothing: neither the instance nor the disks that were made for it."""
    path = operation["_target"]
    guests.discard(world, path)
    for attached in world.state.resources.pop(path, {}).get("disks", ()):
        disk = attached["source"].split("/v1/")[-1]
        if disk in operation["_work"]["made"]:
            drop(world, disk)
        elif disk in world.state.resources:
            detach(world.state.resources[disk], path)


@handles("compute.instances.delete")
def delete(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    if instance["deletionProtection"]:
        text = "Invalid resource usage: 'Resource cannot be deleted if it's protected against deletion.'."
        raise GoogleError(400, text, "invalidResourceUsage")
    operation = operations.begin(call, path, "delete instance", undo="not deleted", status=instance["status"])
    instance["status"] = "STOPPING"
    return operation


@effect("delete instance")
def deleted(world: World, operation: dict[str, Any]) -> None:
    path = operation["_target"]
    if path not in world.state.resources or held(world, operation, guests.removal(world, path)):
        return
    instance = world.state.resources.pop(path)
    guests.forget(world, path)
    for attached in instance["disks"]:
        disk = attached["source"].split("/v1/")[-1]
        if attached["autoDelete"]:
            drop(world, disk)
        elif disk in world.state.resources:
            detach(world.state.resources[disk], path)


@effect("not deleted")
def not_deleted(world: World, operation: dict[str, Any]) -> None:
    if operation["_target"] in world.state.resources:
        world.state.resources[operation["_target"]]["status"] = operation["_work"]["status"]


def _path_of(call: Call, operation: dict[str, Any]) -> str:
    return f"projects/{call.project}/zones/{call.values['zone']}/operations/{operation['name']}"


def _insert_permissions(call: Call) -> list[str]:
    body = call.body
    asked = ["compute.instances.create"]
    for disk in body.get("disks", ()):
        if disk.get("source"):
            asked.append("compute.disks.use")
        else:
            asked += insert_permissions(disk.get("initializeParams", {}))
    for interface in body.get("networkInterfaces", ()):
        asked.append("compute.subnetworks.use" if interface.get("subnetwork") else "compute.networks.use")
        if interface.get("accessConfigs"):
            asked.append("compute.subnetworks.useExternalIp")
    extra = {
        "metadata": "compute.instances.setMetadata",
        "labels": "compute.instances.setLabels",
        "tags": "compute.instances.setTags",
        "deletionProtection": "compute.instances.setDeletionProtection",
    }
    asked += [permission for name, permission in extra.items() if body.get(name)]
    if body.get("serviceAccounts"):
        asked += ["compute.instances.setServiceAccount", "iam.serviceAccounts.actAs"]
    return list(dict.fromkeys(asked))


def _metadata_permissions(call: Call) -> list[str]:
    """Who writes a machine's metadata can act as its account."""
    path = f"projects/{call.project}/zones/{call.values['zone']}/instances/{call.values['instance']}"
    accounts = call.state.resources.get(path, {}).get("serviceAccounts")
    return ["compute.instances.setMetadata", *(["iam.serviceAccounts.actAs"] if accounts else [])]


PERMISSIONS["compute.instances.insert"] = _insert_permissions
PERMISSIONS["compute.instances.setMetadata"] = _metadata_permissions
PERMISSIONS["compute.instances.setServiceAccount"] = lambda call: [
    "compute.instances.setServiceAccount", "iam.serviceAccounts.actAs",
]  # fmt: skip
PERMISSIONS["compute.instances.attachDisk"] = lambda call: [
    "compute.instances.attachDisk",
    "compute.disks.use",
]
