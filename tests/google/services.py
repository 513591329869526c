"""Service Usage: which APIs are on, and switching one on. Everything is on but what a test has switched off."""

import time
from typing import Any

from tests.google.errors import GoogleError
from tests.google.permissions import SERVICES
from tests.google.state import shown
from tests.google.world import Call, handles

TITLES = dict(SERVICES.values()) | {
    "iap.googleapis.com": "Cloud Identity-Aware Proxy API",
    "logging.googleapis.com": "Cloud Logging API",
    "serviceusage.googleapis.com": "Service Usage API",
}
TYPE = "type.googleapis.com/google.api.serviceusage.v1."


def _service(call: Call, name: str) -> dict[str, Any]:
    if name not in TITLES:
        text = f"Not found or permission denied for service(s): {name}."
        raise GoogleError(403, text, "forbidden")
    number = call.state.table("projects")[call.project]["number"]
    disabled = call.rules.is_disabled(call.project, name)
    return {
        "name": f"projects/{number}/services/{name}",
        "parent": f"projects/{number}",
        "config": {"name": name, "title": TITLES[name]},
        "state": "DISABLED" if disabled else "ENABLED",
    }


@handles("serviceusage.services.get")
def get(call: Call) -> dict[str, Any]:
    return _service(call, call.values["name"].split("/")[-1])


@handles("serviceusage.services.list")
def list_(call: Call) -> dict[str, Any]:
    wanted = call.values.get("filter", "").removeprefix("state:")
    found = [_service(call, name) for name in TITLES]
    return {"services": [one for one in found if not wanted or one["state"] == wanted]}


@handles("serviceusage.services.batchGet")
def batch_get(call: Call) -> dict[str, Any]:
    return {"services": [_service(call, name.split("/")[-1]) for name in call.names("names")]}


@handles("serviceusage.services.enable")
def enable(call: Call) -> dict[str, Any]:
    name = call.values["name"].split("/")[-1]
    return _enable(call, [name], {"@type": f"{TYPE}EnableServiceResponse"})


@handles("serviceusage.services.batchEnable")
def batch_enable(call: Call) -> dict[str, Any]:
    return _enable(call, call.body.get("serviceIds", []), {"@type": f"{TYPE}BatchEnableServicesResponse"})


def _enable(call: Call, names: list[str], response: dict[str, Any]) -> dict[str, Any]:
    off = [name for name in names if _service(call, name)["state"] == "DISABLED"]
    if not off:
        shown_ = {**response, **_answered(call, names)}
        return {"name": "operations/noop.DONE_OPERATION", "done": True, "response": shown_}
    operation = {
        "name": f"operations/acat.p2-{call.state.number()}",
        "_services": names,
        "_project": call.project,
        "_response": response,
        "_end": time.time() + call.world.operation_seconds,
    }
    call.state.table("serviceOperations")[operation["name"]] = operation
    return shown(operation)


@handles("serviceusage.operations.get")
def get_operation(call: Call) -> dict[str, Any]:
    name = call.values["name"]
    operation = call.state.table("serviceOperations").get(name)
    if operation is None:
        raise GoogleError(404, f"Operation {name} not found.", "notFound")
    if operation["_end"] > time.time():
        return shown(operation)
    for project in (operation["_project"], "*"):
        kept = call.rules.disabled.get(project, [])
        call.rules.disabled[project] = [one for one in kept if one not in operation["_services"]]
    call.values["project"] = operation["_project"]
    return {**shown(operation), "done": True, "response": operation["_response"]}


def _answered(call: Call, names: list[str]) -> dict[str, Any]:
    found = [_service(call, name) for name in names]
    return {"service": found[0]} if call.method.id.endswith(".enable") else {"services": found}
