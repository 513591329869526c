"""The server: every path of every API, the token endpoint and the control endpoint, at one base URL."""

import asyncio
import json
import socket
import struct
import traceback
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.google import auth, control, dispatch, handlers, permissions
from tests.google.discovery import catalog
from tests.google.errors import GoogleError
from tests.google.relay import Relay
from tests.google.rules import AFTER, BEFORE, Fault, Rules
from tests.google.state import State
from tests.google.world import Answer, Call, Media, World

LARGEST_BODY = 4 * 1024 * 1024
SAID = {
    "503": (503, "The service is currently unavailable.", "backendError"),
    "500": (500, "Internal error. Please try again or contact Google Support.", "backendError"),
    "429": (
        429,
        "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'.",
        "rateLimitExceeded",
    ),
    "403": (403, "The caller does not have permission", "forbidden"),
}


class Dropped(Exception):
    """The connection was reset under the client."""


class StandIn:
    """One world behind one application."""

    def __init__(self, world: World) -> None:
        assert handlers.LOADED
        self.world = world
        self.app = web.Application(client_max_size=LARGEST_BODY)
        self.app["world"] = world
        self.app.router.add_post("/token", self.token)
        control.add_routes(self.app)
        Relay(world).add_routes(self.app)
        self.app.router.add_route("*", "/{path:.*}", self.api)

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            granted = auth.grant(self.world.state, form, base_url(request))
        except auth.Refused as refused:
            return web.json_response(refused.body, status=400)
        self.world.state.save()
        return web.json_response(granted)

    async def api(self, request: web.Request) -> web.StreamResponse:
        path = request.rel_url.raw_path.lstrip("/")
        found = catalog().find(request.method, path)
        if found is None:
            self.world.violation("path", "", f"{request.method} /{path} is in no discovery document")
            return _error(GoogleError(404, f"Not found: {request.method} /{path}", "notFound"), "compute")
        method, values = found
        raw = await request.read()
        try:
            principal = auth.principal(self.world.state, request.headers.get("Authorization"))
        except GoogleError as error:
            return _error(error, method.api)
        query = list(request.rel_url.query.items())
        call, problems = dispatch.build(
            self.world, method, values, query, raw, principal, request.headers.get("Content-Type", "")
        )
        entry = self._journal(call, problems)
        try:
            response = await self._answer(call, problems, request)
        except GoogleError as error:
            response = _error(error, method.api)
        except Dropped:
            entry["status"] = 0
            return web.Response()  # which nobody gets
        except Exception as error:
            self.world.violation("stand-in", method.id, f"The stand-in is broken: {error!r}")
            traceback.print_exc()
            response = _error(
                GoogleError(500, f"The stand-in is broken: {error!r}", "backendError"), method.api
            )
        entry["status"] = response.status
        return response

    async def _answer(self, call: Call, problems: list[GoogleError], request: web.Request) -> web.Response:
        fault = call.fault = self.world.rules.struck(call.method, call.project)
        await _strike(fault, BEFORE, request)
        if problems:
            raise problems[0]
        try:
            result = await dispatch.answer(call)
        finally:
            self.world.state.save()
        await _strike(fault, AFTER, request)
        return _response(result)

    def _journal(self, call: Call, problems: list[GoogleError]) -> dict[str, Any]:
        entry: dict[str, Any] = {
            "number": len(self.world.journal) + 1,
            "method": call.method.id,
            "values": call.values,
            "body": call.body,
            "principal": call.principal,
            "permissions": [] if problems else permissions.needed(call),
            "status": None,
        }
        self.world.journal.append(entry)
        return entry


def base_url(request: web.Request) -> str:
    return f"{request.scheme}://{request.host}"


def make_world(folder: Path | None, project: str, operation_seconds: float) -> World:
    """A world with the state that is kept in `folder`. What was held for a machine is begun again."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
    world = World(State(folder), Rules(), usual_seconds=operation_seconds)
    for operation in world.state.operations.values():
        operation["_held"] = False
    world.state.table("projects").setdefault(project, {"number": "123456789012"})
    return world


async def _strike(fault: Fault | None, moment: str, request: web.Request) -> None:
    """What a fault does to the call at this moment."""
    if fault is None:
        return
    kind, _, when = fault.kind.partition("-")
    if (when or BEFORE) != moment:
        return
    if kind == "delay":
        await asyncio.sleep(fault.seconds)
    elif kind == "reset":
        _reset(request)
    elif kind in SAID:
        code, message, reason = SAID[kind]
        raise GoogleError(code, fault.message or message, fault.reason or reason)


def _reset(request: web.Request) -> None:
    transport = request.transport
    if transport is not None:
        plain = transport.get_extra_info("socket")
        # Closed without lingering, a connection is reset and not ended.
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    raise Dropped


def _response(result: Answer) -> web.Response:
    if result is None:
        return web.Response(status=204)
    if isinstance(result, Media):
        headers = {**result.headers, "Content-Type": result.content_type}
        return web.Response(body=result.content, headers=headers)
    return web.Response(text=json.dumps(result), content_type="application/json")


def _error(error: GoogleError, api: str) -> web.Response:
    return web.json_response(error.body(api), status=error.code)
