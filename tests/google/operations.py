"""Operations: work that takes time, goes PENDING, RUNNING, DONE, and may end in an error."""

import asyncio
import time
import uuid
from collections.abc import Callable
from typing import Any

from tests.google import compute
from tests.google.compute.listing import page
from tests.google.errors import OperationFailed, invalid, not_found
from tests.google.rules import OF_OPERATIONS
from tests.google.state import compute_time, shown
from tests.google.world import Call, World, handles

Effect = Callable[[World, dict[str, Any]], None]

EFFECTS: dict[str, Effect] = {}
"""What an operation does when it ends, by name, since an operation outlives the process that began it."""

WAIT_SECONDS = 120.0
"""`wait` answers after two minutes at the latest, whatever the operation's state (the documents' own limit)."""

LOOK = 0.02


def effect(name: str) -> Callable[[Effect], Effect]:
    def register(function: Effect) -> Effect:
        EFFECTS[name] = function
        return function

    return register


def repeated(call: Call) -> dict[str, Any] | None:
    """The operation that a call with the same requestId began."""
    request = call.values.get("requestId")
    if not request:
        return None
    try:
        number = uuid.UUID(request)
    except ValueError:
        number = uuid.UUID(int=0)
    if number.int == 0:
        raise invalid("requestId", request, "Must be a valid UUID other than zero.")
    before = call.state.requests.get(_request_key(call))
    if before is None:
        return None
    if before["body"] != call.body or before["place"] != _place(call):
        call.world.violation("requestId", call.method.id, f"{request} is used for two different requests")
    return shown(call.state.operations[before["operation"]])


def begin(call: Call, target: str, effect: str = "", *, undo: str = "", **work: Any) -> dict[str, Any]:
    """A new operation on `target`; when it is done `effect` happens, where it fails `undo` does."""
    state, world = call.state, call.world
    name = f"operation-{int(time.time() * 1000)}-{uuid.uuid4().hex[:13]}-{uuid.uuid4().hex[:8]}"
    scope = "/".join(target.split("/")[:-2])
    fault = call.fault if call.fault and call.fault.kind == OF_OPERATIONS else None
    if fault:
        fault.fired += 1
    now, now_text = time.time(), compute_time()
    operation = {
        "kind": "compute#operation",
        "id": state.number(),
        "name": name,
        "operationType": call.method.id.split(".")[-1],
        "status": "PENDING",
        "progress": 0,
        "user": call.principal,
        "insertTime": now_text,
        "targetLink": compute.link(target),
        "targetId": state.resources.get(target, {}).get("id", state.number()),
        "selfLink": compute.link(f"{scope}/operations/{name}"),
        **_where(scope),
        "_path": f"{scope}/operations/{name}",
        "_target": target,
        "_effect": effect,
        "_undo": undo,
        "_work": work,
        "_error": [fault.code, fault.message or fault.code, []] if fault else None,
        "_start": now + world.operation_seconds * 0.3,
        "_end": now + world.operation_seconds,
        "_held": False,
    }
    state.operations[operation["_path"]] = operation
    if call.values.get("requestId"):
        state.requests[_request_key(call)] = {
            "operation": operation["_path"],
            "body": call.body,
            "place": _place(call),
        }
    return shown(operation)


def settle(world: World) -> None:
    """Brings every operation to where it is by now. Called before anybody looks."""
    now = time.time()
    for operation in sorted(_open(world), key=lambda operation: operation["_end"]):
        if operation["status"] == "PENDING" and operation["_start"] <= now:
            operation.update(status="RUNNING", startTime=compute_time())
        if operation["_end"] <= now and not operation["_held"]:
            finish(world, operation)


def finish(world: World, operation: dict[str, Any]) -> None:
    try:
        if operation["_error"]:
            raise OperationFailed(*operation["_error"])
        if operation["_effect"]:
            EFFECTS[operation["_effect"]](world, operation)
    except OperationFailed as failed:
        _fail(world, operation, failed)
    operation.setdefault("startTime", compute_time())
    if not operation["_held"]:
        operation.update(status="DONE", progress=100, endTime=compute_time())


def pending_on(world: World, target: str) -> dict[str, Any] | None:
    """An operation on `target` that has not ended."""
    return next((operation for operation in _open(world) if operation["_target"] == target), None)


def will_fail(operation: dict[str, Any], code: str, message: str, *details: dict[str, Any]) -> None:
    """Lets an operation end in an error, unless it will in another already."""
    operation["_error"] = operation["_error"] or [code, message, list(details)]


def _fail(world: World, operation: dict[str, Any], failed: OperationFailed) -> None:
    error: dict[str, Any] = {"code": failed.code, "message": str(failed)}
    if failed.details:
        error["errorDetails"] = failed.details
    operation["error"] = {"errors": [error]}
    operation["httpErrorStatusCode"], operation["httpErrorMessage"] = failed.http
    if operation["_undo"]:
        EFFECTS[operation["_undo"]](world, operation)


def _open(world: World) -> list[dict[str, Any]]:
    return [operation for operation in world.state.operations.values() if operation["status"] != "DONE"]


def _where(scope: str) -> dict[str, str]:
    collection = scope.split("/")[-2]
    return {collection[:-1]: compute.link(scope)} if collection in ("zones", "regions") else {}


def _request_key(call: Call) -> str:
    return f"{call.project}/{call.method.id}/{call.values['requestId']}"


def _place(call: Call) -> str:
    return "/".join(call.values[name] for name in call.values if name in call.method.path)


SCOPES = ("zoneOperations", "regionOperations", "globalOperations")


def _found(call: Call) -> dict[str, Any]:
    scope = f"projects/{call.project}/"
    for collection in ("zone", "region"):
        if collection in call.values:
            scope += f"{collection}s/{call.values[collection]}"
    path = f"{scope if scope.count('/') > 2 else scope + 'global'}/operations/{call.values['operation']}"
    if path not in call.state.operations:
        raise not_found(path)
    return call.state.operations[path]


@handles(*(f"compute.{scope}.get" for scope in SCOPES))
def get(call: Call) -> dict[str, Any]:
    return shown(_found(call))


@handles(*(f"compute.{scope}.wait" for scope in SCOPES))
async def wait(call: Call) -> dict[str, Any]:
    operation, patience = _found(call), time.monotonic() + WAIT_SECONDS
    while operation["status"] != "DONE" and time.monotonic() < patience:
        await asyncio.sleep(LOOK)
        settle(call.world)
    return shown(operation)


@handles(*(f"compute.{scope}.list" for scope in SCOPES))
def list_operations(call: Call) -> dict[str, Any]:
    scope = next(
        (f"/{kind}s/{call.values[kind]}/" for kind in ("zone", "region") if kind in call.values), "/global/"
    )
    found = [operation for path, operation in call.state.operations.items() if scope in path]
    return page(call, "compute#operationList", f"projects/{call.project}{scope}operations", found)
