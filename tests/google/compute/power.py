"""An instance on and off: start, stop, reset; what may go wrong in a zone that has nothing left."""

import time
from typing import Any

from tests.google import operations
from tests.google.compute import guests
from tests.google.compute.disks import refuse_beyond_quota
from tests.google.compute.resources import KINDS, find
from tests.google.errors import GoogleError
from tests.google.held import held
from tests.google.operations import effect
from tests.google.state import compute_time
from tests.google.world import Call, World, handles

INSTANCES = KINDS["instances"]


@handles("compute.instances.start")
def start(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    if instance["status"] == "SUSPENDED":
        raise _refused(f"'{path}' is suspended and can only be resumed or deleted.")
    if instance["status"] != "TERMINATED":
        _require(instance, path, "RUNNING", "PROVISIONING", "STAGING")
        return operations.begin(call, path)
    return _power_on(call, path, instance, "instance stays off")


@handles("compute.instances.resume")
def resume(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    if instance["status"] != "SUSPENDED":
        raise _refused(f"'{path}' is not suspended.")
    return _power_on(call, path, instance, "instance sleeps on")


def _power_on(call: Call, path: str, instance: dict[str, Any], undo: str) -> dict[str, Any]:
    operation = operations.begin(call, path, "instance runs", undo=undo)
    instance["status"] = "STAGING"
    kept = next(one for one in call.state.operations.values() if one["name"] == operation["name"])
    refuse_beyond_quota(call, call.values["zone"], operation)
    refuse_without_stock(call.world, kept)
    return operation


@handles("compute.instances.stop")
def stop(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    instance = find(call, path)
    if instance["status"] == "SUSPENDED":
        raise _refused(f"'{path}' is suspended and can only be resumed or deleted.")
    if instance["status"] == "TERMINATED":
        return operations.begin(call, path)
    _require(instance, path, "RUNNING", "STOPPING")
    operation = operations.begin(call, path, "instance stops", undo="instance still runs")
    instance["status"] = "STOPPING"
    return operation


@handles("compute.instances.reset")
def reset(call: Call) -> dict[str, Any]:
    path = INSTANCES.path(call)
    _require(find(call, path), path, "RUNNING")
    return operations.begin(call, path, "instance resets")


def refuse_without_stock(world: World, operation: dict[str, Any]) -> None:
    """In a zone that a test has emptied, what starts an instance ends in ZONE_RESOURCE_POOL_EXHAUSTED."""
    path = operation["_target"]
    zone = path.split("/")[3]
    machine = world.state.resources[path]["machineType"].split("/")[-1]
    if zone not in world.rules.stockouts and f"{zone}/{machine}" not in world.rules.stockouts:
        return
    text = (
        f"The zone '{'/'.join(path.split('/')[:4])}' does not have enough resources available to fulfill the "
        "request.  Try a different zone, or try again later."
    )
    facts = {"vmType": machine, "zone": zone, "attachment": "", "zonesAvailable": ""}
    info = {"reason": "resource_availability", "domain": "compute.googleapis.com", "metadatas": facts}
    links = [
        {
            "description": "Troubleshooting documentation",
            "url": "https://cloud.google.com/compute/docs/resource-error",
        }
    ]
    details = ({"help": {"links": links}}, {"errorInfo": info})
    operations.will_fail(operation, "ZONE_RESOURCE_POOL_EXHAUSTED", text, *details)


@effect("instance runs")
def runs(world: World, operation: dict[str, Any]) -> None:
    path = operation["_target"]
    instance = world.state.resources.get(path)
    if instance is None:
        return
    if held(world, operation, guests.starting(world, path)):
        # The operation ends when the machine has been started; it boots after that, as Google's do.
        instance["status"] = "STAGING"
        return
    for attached in instance["disks"]:
        disk = world.state.resources.get(attached["source"].split("/v1/")[-1])
        if disk:
            disk["status"] = "READY"
    instance.update(status="RUNNING", lastStartTimestamp=compute_time(), _started=time.time())
    instance.pop("lastStopTimestamp", None)
    guests.booting(world, path)


@effect("instance resets")
def resets(world: World, operation: dict[str, Any]) -> None:
    path = operation["_target"]
    if path in world.state.resources:
        held(world, operation, guests.restarting(world, path))


@effect("instance stays off")
def stays_off(world: World, operation: dict[str, Any]) -> None:
    if operation["_target"] in world.state.resources:
        world.state.resources[operation["_target"]]["status"] = "TERMINATED"


@effect("instance sleeps on")
def sleeps_on(world: World, operation: dict[str, Any]) -> None:
    if operation["_target"] in world.state.resources:
        world.state.resources[operation["_target"]]["status"] = "SUSPENDED"


@effect("instance stops")
def stops(world: World, operation: dict[str, Any]) -> None:
    path = operation["_target"]
    if path not in world.state.resources or held(world, operation, guests.stopping(world, path)):
        return
    world.state.resources[path].update(status="TERMINATED", lastStopTimestamp=compute_time())


@effect("instance still runs")
def still_runs(world: World, operation: dict[str, Any]) -> None:
    if operation["_target"] in world.state.resources:
        world.state.resources[operation["_target"]]["status"] = "RUNNING"


def _refused(why: str) -> GoogleError:
    return GoogleError(400, f"Invalid resource usage: {why}", "invalidResourceUsage")


def _require(instance: dict[str, Any], path: str, *statuses: str) -> None:
    if instance["status"] not in statuses:
        raise GoogleError(400, f"The resource '{path}' is not ready", "resourceNotReady")
