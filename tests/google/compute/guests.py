"""What a machine says of itself: guest attributes, the serial console. And the machine behind it, if there is one."""

import asyncio
import copy
import sys
import time
from collections.abc import Callable
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from tests.google.background import told
from tests.google.compute import link
from tests.google.compute.disks import fill
from tests.google.compute.resources import KINDS, find
from tests.google.errors import GoogleError
from tests.google.held import handle, later
from tests.google.world import Call, World, handles

INSTANCES = KINDS["instances"]
HOSTKEYS = "hostkeys"
BOOT_SECONDS = 0.2
"""After its start until an instance without a machine has written its host keys."""


Work = Callable[[], None]


def starting(world: World, path: str) -> Work:
    """Fills the disks that come from snapshots and starts the machine."""
    resources = world.state.resources
    instance = resources[path]
    disks = [disk["source"].split("/v1/")[-1] for disk in instance["disks"]]
    data = [handle(disk, resources[disk]) for disk in disks[1:]]
    new = [disk for disk in disks if resources[disk]["status"] == "CREATING"]

    def work() -> None:
        assert world.machines is not None
        for disk in new:
            fill(world, disk)
        world.machines.start(handle(path, instance), copy.deepcopy(instance), data)

    return work


def booting(world: World, path: str) -> None:
    """The machine boots; when it has, its host keys stand in its guest attributes, if they were open then."""
    instance, machines = world.state.resources[path], world.machines
    if path in _attributes(world) or not enabled(world, path):
        return
    if machines is None or world.background is None:
        _attributes(world)[path] = {HOSTKEYS: _invented_keys()}
        return

    def booted(keys: dict[str, str] | None, error: Exception | None) -> None:
        if error:
            print(f"{path} did not boot: {told(error)}", file=sys.stderr, flush=True)
        elif path in world.state.resources:
            _attributes(world)[path] = {HOSTKEYS: keys}
            world.state.save()

    name = handle(path, instance)
    world.background.run(lambda: machines.host_keys(name), booted)


def resume(world: World) -> None:
    """Waits again for machines that were booting when the process before this one ended."""
    for path, instance in world.state.resources.items():
        if instance["kind"] == "compute#instance" and instance["status"] == "RUNNING":
            booting(world, path)


def stopping(world: World, path: str) -> Work:
    return _work(world, path, "stop")


def restarting(world: World, path: str) -> Work:
    return _work(world, path, "restart")


def removal(world: World, path: str) -> Work:
    return _work(world, path, "remove")


def discard(world: World, path: str) -> None:
    """Takes away what is left of a machine that could not be made."""
    if world.machines and path in world.state.resources:
        later(world, removal(world, path))


def _work(world: World, path: str, verb: str) -> Work:
    name = handle(path, world.state.resources[path])
    return lambda: getattr(world.machines, verb)(name)


def forget(world: World, path: str) -> None:
    _attributes(world).pop(path, None)


def guest_attributes(world: World, path: str) -> dict[str, dict[str, str]]:
    """What the guest has written, by namespace; a machine that nobody made writes a little after its start too."""
    instance = world.state.resources[path]
    if world.machines is None and time.time() < instance.get("_started", 0) + BOOT_SECONDS:
        return {}
    found: dict[str, dict[str, str]] = _attributes(world).get(path, {})
    return found


@handles("compute.instances.getGuestAttributes")
def get_guest_attributes(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    find(call, path)
    if not enabled(call.world, path):
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
async def get_serial_output(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    if call.world.machines:
        text = await asyncio.to_thread(call.world.machines.console, handle(path, instance))
    else:
        text = _invented_console(call, instance)
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


def enabled(world: World, path: str) -> bool:
    """Whether guest attributes are open, by the instance's metadata or else the project's."""
    common = world.state.table("projects")[path.split("/")[1]].get("metadata", [])
    own = world.state.resources[path]["metadata"].get("items", ())
    values = {item["key"]: item.get("value", "") for item in (*common, *own)}
    return values.get("enable-guest-attributes", "").upper() == "TRUE"


def _attributes(world: World) -> dict[str, Any]:
    return world.state.table("guestAttributes")


def _invented_keys() -> dict[str, str]:
    """Real public keys whose private halves are thrown away."""
    form = (serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    ed = ed25519.Ed25519PrivateKey.generate().public_key().public_bytes(*form)
    curve = ec.generate_private_key(ec.SECP256R1()).public_key().public_bytes(*form)
    pairs = (text.decode().split(maxsplit=1) for text in (ed, curve))
    return dict(pairs)


def _invented_console(call: Call, instance: dict[str, Any]) -> str:
    return call.rules.console or f"[    0.000000] Linux version (stand-in)\n{instance['name']} login: \n"
