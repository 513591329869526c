"""What a machine says of itself: guest attributes, the serial console. And the machine behind it, if there is one."""

import base64
import time
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.google.compute import link
from tests.google.compute.resources import KINDS, find
from tests.google.errors import GoogleError
from tests.google.world import Call, Guest, World, handles

INSTANCES = KINDS["instances"]
HOSTKEYS = "hostkeys"
BOOT_SECONDS = 0.2
"""After its start until an instance without a machine has written its host keys."""


def boot(world: World, path: str, operation: dict[str, Any]) -> None:
    """Starts the machine of an instance; the operation ends when it has been started."""
    assert world.machines is not None

    def started(error: str | None) -> None:
        operation["_held"] = False
        if error:
            operation["_error"] = ["INTERNAL_ERROR", error]

    def wrote(keys: dict[str, str]) -> None:
        if path in world.state.resources:
            _attributes(world)[path] = {HOSTKEYS: keys}
            world.state.save()

    world.machines.start(path, world.state.resources[path], Guest(started, wrote))


def off(world: World, path: str) -> None:
    if world.machines:
        world.machines.stop(path)


def forget(world: World, path: str) -> None:
    _attributes(world).pop(path, None)


def guest_attributes(world: World, path: str) -> dict[str, dict[str, str]]:
    """What the guest has written, by namespace. Without a machine it is invented, once for each instance."""
    kept = _attributes(world)
    instance = world.state.resources[path]
    booted = instance["status"] == "RUNNING" and time.time() > instance.get("_started", 0) + BOOT_SECONDS
    if path not in kept and world.machines is None and booted:
        kept[path] = {HOSTKEYS: _invented_keys()}
    found: dict[str, dict[str, str]] = kept.get(path, {})
    return found


@handles("compute.instances.getGuestAttributes")
def get_guest_attributes(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    if not _enabled(call, instance):
        raise GoogleError(412, "Guest attributes endpoint access is disabled.", "conditionNotMet")
    query = call.values.get("queryPath") or call.values.get("variableKey", "")
    namespace, _, key = query.partition("/")
    written = guest_attributes(call.world, path)
    items = [
        {"namespace": space, "key": name, "value": value}
        for space, pairs in sorted(written.items())
        for name, value in sorted(pairs.items())
        if (not namespace or space == namespace) and (not key or name == key)
    ]
    if not items:
        raise GoogleError(404, f"The resource '{query}' of type 'Guest Attribute' was not found.", "notFound")
    return {
        "kind": "compute#guestAttributes",
        "selfLink": link(f"{path}/getGuestAttributes"),
        "queryPath": query,
        "queryValue": {"items": items},
    }


@handles("compute.instances.getSerialPortOutput")
def get_serial_output(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    text = call.world.machines.console(path) if call.world.machines else _invented_console(call, instance)
    if call.values.get("port", "1") != "1":
        text = ""
    start = min(int(call.values.get("start", 0)), len(text))
    return {
        "kind": "compute#serialPortOutput",
        "selfLink": link(f"{path}/serialPort"),
        "contents": text[start:],
        "start": str(start),
        "next": str(len(text)),
    }


def _enabled(call: Call, instance: dict[str, Any]) -> bool:
    common = call.state.table("projects")[call.project].get("metadata", [])
    values = {
        item["key"]: item.get("value", "") for item in (*common, *instance["metadata"].get("items", ()))
    }
    return values.get("enable-guest-attributes", "").upper() == "TRUE"


def _attributes(world: World) -> dict[str, Any]:
    return world.state.table("guestAttributes")


def _invented_keys() -> dict[str, str]:
    """Real public keys whose private halves are thrown away."""
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    ed = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*form)
    curve = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*form)
    pairs = (text.decode().split() for text in (ed, curve))
    return {kind: key for kind, key in pairs if base64.b64decode(key)}


def _invented_console(call: Call, instance: dict[str, Any]) -> str:
    ordered: str = call.rules.relay.get("console", "")
    return ordered or f"[    0.000000] Linux version (stand-in)\n{instance['name']} login: \n"
