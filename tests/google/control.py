"""The control endpoint: what a test orders and reads back. It is no part of Google's APIs and asks for no bearer."""

import asyncio
from dataclasses import asdict
from typing import Any

from aiohttp import web

from tests.google import auth
from tests.google.state import shown
from tests.google.world import World

STANDING = (
    "denied",
    "disabled",
    "quotas",
    "stockouts",
    "constraints",
    "relay",
    "console",
    "unbilled",
    "account_seconds",
)
TABLES = (
    "serviceAccounts", "buckets", "objects", "iamPolicies", "secrets",
    "alertPolicies", "notificationChannels", "dashboards",
)  # fmt: skip
"""What the APIs beside Compute keep."""


def add_routes(app: web.Application) -> None:
    app.router.add_get("/_control/health", health)
    app.router.add_get("/_control/journal", journal)
    app.router.add_get("/_control/violations", violations)
    app.router.add_get("/_control/resources", resources)
    app.router.add_get("/_control/faults", faults)
    app.router.add_post("/_control/faults", add_fault)
    app.router.add_delete("/_control/faults", clear)
    app.router.add_post("/_control/rules", set_rules)
    app.router.add_post("/_control/settings", settings)
    app.router.add_post("/_control/edit", edit)
    app.router.add_post("/_control/reset", reset)
    app.router.add_get("/_control/key", key)


def _world(request: web.Request) -> World:
    return request.app["world"]


async def health(request: web.Request) -> web.Response:
    return web.json_response({"calls": len(_world(request).journal)})


async def journal(request: web.Request) -> web.Response:
    """Every call so far, or those from number `since` on."""
    since = int(request.query.get("since", "0"))
    return web.json_response(_world(request).journal[since:])


async def violations(request: web.Request) -> web.Response:
    return web.json_response(_world(request).violations)


async def resources(request: web.Request) -> web.Response:
    """Everything that exists, by path, without asking any API."""
    state = _world(request).state
    found = {path: shown(record) for path, record in state.resources.items()}
    others = {name: {path: shown(record) for path, record in state.table(name).items()} for name in TABLES}
    return web.json_response({"compute": found, **others})


async def faults(request: web.Request) -> web.Response:
    return web.json_response([asdict(fault) for fault in _world(request).rules.faults])


async def add_fault(request: web.Request) -> web.Response:
    try:
        fault = _world(request).rules.add(**await request.json())
    except (ValueError, TypeError) as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.json_response(asdict(fault))


async def clear(request: web.Request) -> web.Response:
    """Forgets every fault; standing refusals stay."""
    _world(request).rules.faults.clear()
    return web.json_response({})


async def set_rules(request: web.Request) -> web.Response:
    """Replaces the standing refusals that the body names."""
    for name, value in (await request.json()).items():
        if name not in STANDING:
            return web.json_response({"error": f"unknown rule: {name}"}, status=400)
        setattr(_world(request).rules, name, value)
    return web.json_response({})


async def settings(request: web.Request) -> web.Response:
    wanted = await request.json()
    world = _world(request)
    world.operation_seconds = float(wanted.get("operation_seconds", world.operation_seconds))
    for project in wanted.get("projects", ()):
        number = str(123456789012 + len(world.state.table("projects")))
        world.state.table("projects").setdefault(project, {"number": number})
    if "project_metadata" in wanted:
        items = [{"key": key, "value": value} for key, value in wanted["project_metadata"].items()]
        for known in world.state.table("projects").values():
            known["metadata"] = items
    world.state.save()
    return web.json_response({"operation_seconds": world.operation_seconds})


async def edit(request: web.Request) -> web.Response:
    """Changes or removes a resource behind everybody's back, as a hand in the console does."""
    wanted: dict[str, Any] = await request.json()
    state = _world(request).state
    if wanted.get("remove"):
        state.resources.pop(wanted["path"], None)
    elif wanted.get("table"):
        state.table(wanted["table"])[wanted["path"]] = wanted["fields"]
    else:
        state.resources[wanted["path"]].update(wanted["fields"])
    state.save()
    return web.json_response({})


async def reset(request: web.Request) -> web.Response:
    """An empty project again, without rules or a past. Keys and tokens stay good."""
    world = _world(request)
    if world.machines:
        await asyncio.to_thread(world.machines.cleanup)
    world.reset()
    world.state.save()
    return web.json_response({})


async def key(request: web.Request) -> web.Response:
    """A service account's key file, whose tokens this server issues and takes."""
    state = _world(request).state
    projects = list(state.table("projects"))
    project, account = request.query.get("project", projects[0]), request.query.get("account", "operator")
    found = auth.key_file(state, f"{request.scheme}://{request.host}", project, account)
    state.save()
    return web.json_response(found)
