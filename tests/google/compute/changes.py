"""What of an instance can be changed, and in which state of it."""

import secrets
from collections.abc import Callable
from typing import Any

from tests.google import operations
from tests.google.accounts import is_known
from tests.google.compute.attachments import describe_attachment, machine_type, require_free
from tests.google.compute.disks import attach, detach
from tests.google.compute.resources import KINDS, find, find_ready, refer
from tests.google.errors import GoogleError, invalid, required, stale
from tests.google.state import fingerprint
from tests.google.world import Call, handles

INSTANCES = KINDS["instances"]
METADATA_BYTES = 256 * 1024
"""Of one value; 512 KB all together."""


def metadata(given: dict[str, Any]) -> dict[str, Any]:
    """Metadata with its fingerprint."""
    items = given.get("items", [])
    keys = [item.get("key", "") for item in items]
    if len(keys) != len(set(keys)):
        raise invalid("resource.metadata", keys, "Duplicate metadata keys.")
    if any(len(item.get("value", "")) > METADATA_BYTES for item in items):
        raise invalid("resource.metadata", "…", "A value is larger than 262144 bytes.")
    if sum(len(item.get("value", "")) + len(item.get("key", "")) for item in items) > 2 * METADATA_BYTES:
        raise invalid("resource.metadata", "…", "The metadata is larger than 524288 bytes.")
    found: dict[str, Any] = {"kind": "compute#metadata", "fingerprint": fingerprint(items)}
    return found | ({"items": items} if items else {})


def tags(given: dict[str, Any]) -> dict[str, Any]:
    items = sorted(given.get("items", []))
    return {"fingerprint": fingerprint(items)} | ({"items": items} if items else {})


def service_accounts(call: Call, given: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most one account, which exists."""
    if len(given) > 1:
        raise invalid("resource.serviceAccounts", len(given), "There can be at most one service account.")
    for one in given:
        email = one.get("email", "")
        default = (
            f"{call.state.table('projects')[call.project]['number']}-compute@developer.gserviceaccount.com"
        )
        if email not in ("default", default) and not is_known(call, email):
            text = f"The resource '{email}' of type 'serviceAccount' was not found."
            raise GoogleError(400, text, "invalid")
    return given


def _named(call: Call) -> tuple[str, dict[str, Any]]:
    name = call.values.get("instance") or call.values["resource"]
    path = f"{INSTANCES.folder(call)}/{name}"
    return path, find_ready(call, path)


def _stopped(instance: dict[str, Any], message: str, reason: str) -> None:
    if instance["status"] != "TERMINATED":
        raise GoogleError(400, message, reason)


WHILE_SUSPENDED = ("setDeletionProtection", "setDiskAutoDelete")
"""What is asked of a machine before its end. That Google takes no other change of a suspended one is a likeness."""

Change = Callable[[Call, dict[str, Any]], None]


def _changes(verb: str) -> Callable[[Change], Change]:
    """A method that changes the instance and answers with an operation; not while it is suspended."""

    def register(change: Change) -> Change:
        @handles(f"compute.instances.{verb}")
        def changed(call: Call) -> dict[str, Any]:
            path, instance = _named(call)
            if instance["status"] in ("SUSPENDING", "SUSPENDED") and verb not in WHILE_SUSPENDED:
                text = f"Invalid resource usage: '{path}' is suspended."
                raise GoogleError(400, text, "invalidResourceUsage")
            change(call, instance)
            return operations.begin(call, path)

        return change

    return register


@_changes("setMetadata")
def set_metadata(call: Call, instance: dict[str, Any]) -> None:
    if call.body.get("fingerprint") != instance["metadata"]["fingerprint"]:
        raise stale()
    instance["metadata"] = metadata(call.body)


@_changes("setTags")
def set_tags(call: Call, instance: dict[str, Any]) -> None:
    if call.body.get("fingerprint") != instance["tags"]["fingerprint"]:
        raise stale("Supplied fingerprint does not match current tags fingerprint.")
    instance["tags"] = tags(call.body)


@_changes("setMachineType")
def set_machine_type(call: Call, instance: dict[str, Any]) -> None:
    wanted = call.body.get("machineType")
    if not wanted:
        raise required("machineType")
    _stopped(
        instance,
        "Invalid resource usage: 'Machine type can only be changed when the instance is TERMINATED.'.",
        "invalidResourceUsage",
    )
    instance["machineType"] = machine_type(call, wanted)


@_changes("setDeletionProtection")
def set_deletion_protection(call: Call, instance: dict[str, Any]) -> None:
    instance["deletionProtection"] = call.values.get("deletionProtection", "true") == "true"


@_changes("setServiceAccount")
def set_service_account(call: Call, instance: dict[str, Any]) -> None:
    _stopped(
        instance, "The instance must be stopped before the service account can be changed.", "badRequest"
    )
    if not call.body.get("email"):
        instance.pop("serviceAccounts", None)
        return
    instance["serviceAccounts"] = service_accounts(call, [call.body])


@_changes("updateShieldedInstanceConfig")
def update_shielded(call: Call, instance: dict[str, Any]) -> None:
    text = (
        "Invalid resource usage: 'Shielded VM options can only be changed when the instance is TERMINATED.'."
    )
    _stopped(instance, text, "invalidResourceUsage")
    instance["shieldedInstanceConfig"].update(call.body)


@_changes("setScheduling")
def set_scheduling(call: Call, instance: dict[str, Any]) -> None:
    _stopped(
        instance,
        "Invalid resource usage: 'Scheduling can only be changed when the instance is TERMINATED.'.",
        "invalidResourceUsage",
    )
    instance["scheduling"].update(call.body)


@_changes("setDiskAutoDelete")
def set_auto_delete(call: Call, instance: dict[str, Any]) -> None:
    _device(instance, call.values["deviceName"])["autoDelete"] = call.values["autoDelete"] == "true"


@_changes("attachDisk")
def attach_disk(call: Call, instance: dict[str, Any]) -> None:
    if call.world.machines:
        raise GoogleError(501, "A machine of this stand-in gets its disks when it is made.", "notImplemented")
    path = refer(call, "source", call.body.get("source", ""), "disks")
    require_free(call, path, call.body.get("mode", "READ_WRITE"))
    disk = find(call, path)
    attached = describe_attachment(call.body, disk, len(instance["disks"]))
    if any(one["deviceName"] == attached["deviceName"] for one in instance["disks"]):
        raise invalid("deviceName", attached["deviceName"], "The device name is taken.")
    instance["disks"].append(attached)
    attach(disk, instance["selfLink"].split("/v1/")[-1])


@_changes("detachDisk")
def detach_disk(call: Call, instance: dict[str, Any]) -> None:
    attached = _device(instance, call.values["deviceName"])
    if attached["boot"] and instance["status"] != "TERMINATED":
        raise GoogleError(400, "The boot disk of a running instance cannot be detached.", "badRequest")
    instance["disks"].remove(attached)
    disk = call.state.resources[attached["source"].split("/v1/")[-1]]
    detach(disk, instance["selfLink"].split("/v1/")[-1])


def access_config(given: dict[str, Any]) -> dict[str, Any]:
    """An external address; where none is named, one of the range for documentation."""
    made = {"type": "ONE_TO_ONE_NAT", "name": "External NAT", "networkTier": "PREMIUM", **given}
    return {"natIP": f"203.0.113.{secrets.randbelow(250) + 1}", **made, "kind": "compute#accessConfig"}


@_changes("addAccessConfig")
def add_access_config(call: Call, instance: dict[str, Any]) -> None:
    interface = _interface(call, instance)
    if interface.get("accessConfigs"):
        raise invalid("resource", instance["name"], "At most one access config currently supported.")
    interface["accessConfigs"] = [access_config(call.body)]


@_changes("deleteAccessConfig")
def delete_access_config(call: Call, instance: dict[str, Any]) -> None:
    interface = _interface(call, instance)
    if call.values["accessConfig"] not in [one["name"] for one in interface.get("accessConfigs", ())]:
        raise invalid("accessConfig", call.values["accessConfig"], "The access config does not exist.")
    del interface["accessConfigs"]


@_changes("updateNetworkInterface")
def update_interface(call: Call, instance: dict[str, Any]) -> None:
    """Of what Google lets be changed the IP versions alone: an interface without IPv6 has no address of it."""
    interface = _interface(call, instance)
    if call.body.get("fingerprint") != interface["fingerprint"]:
        raise stale("Invalid fingerprint.")
    interface["stackType"] = call.body.get("stackType", interface["stackType"])
    if interface["stackType"] == "IPV4_ONLY":
        for name in ("ipv6AccessConfigs", "ipv6Address", "ipv6AccessType"):
            interface.pop(name, None)
    content = {name: value for name, value in interface.items() if name != "fingerprint"}
    interface["fingerprint"] = fingerprint(content)


def _interface(call: Call, instance: dict[str, Any]) -> dict[str, Any]:
    for interface in instance["networkInterfaces"]:
        if interface["name"] == call.values["networkInterface"]:
            found: dict[str, Any] = interface
            return found
    raise invalid("networkInterface", call.values["networkInterface"], "There is no such interface.")


def _device(instance: dict[str, Any], name: str) -> dict[str, Any]:
    for attached in instance["disks"]:
        if attached["deviceName"] == name:
            found: dict[str, Any] = attached
            return found
    raise invalid("deviceName", name, "No attached disk found with this device name.")
