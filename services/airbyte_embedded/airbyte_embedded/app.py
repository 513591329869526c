"""The door: routes, who may use them, and how problems are answered.

A route that is not in the table does not exist, and one that names no scope is for nobody: the table is the
whole policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from airbyte_embedded import ENGINE, VERSION, auth
from airbyte_embedded.api import actors, applications, connections, jobs, streams, workspaces
from airbyte_embedded.auth import ADMIN, ORCHESTRATOR
from airbyte_embedded.call import Call
from airbyte_embedded.problems import Problem, bad_request, unavailable
from airbyte_embedded.service import Service

BASE = "/api/public/v1"
ANYONE: tuple[str, ...] = ("anyone",)
ADMINS = (ADMIN,)
BOTH = (ADMIN, ORCHESTRATOR)
UNKNOWN_BYTES = 16 * 1024
"""Of a body from somebody who has not said yet who it is: an id and a secret fit many times."""

SOURCES, DESTINATIONS = actors.Actors("source"), actors.Actors("destination")

Handler = Callable[[Call], Awaitable[Response]]
log = logging.getLogger(__name__)


async def health(call: Call) -> Response:
    """Airbyte's words first, for whoever looks for them; then what this really is."""
    call.service.database.one("SELECT 1")
    return PlainTextResponse(f"Successful operation\n{ENGINE} {VERSION}: not the Airbyte platform\n")


TABLE: tuple[tuple[str, str, Handler, tuple[str, ...]], ...] = (
    ("GET", "/health", health, ANYONE),
    ("POST", "/applications/token", applications.token, ANYONE),
    # an application is a way in: its list is for those who may make one
    ("GET", "/applications", applications.list_, ADMINS),
    ("POST", "/applications", applications.create, ADMINS),
    ("GET", "/applications/{id}", applications.get, ADMINS),
    ("DELETE", "/applications/{id}", applications.delete, ADMINS),
    ("GET", "/workspaces", workspaces.list_, BOTH),
    ("POST", "/workspaces", workspaces.create, ADMINS),
    ("GET", "/workspaces/{id}", workspaces.get, BOTH),
    ("PATCH", "/workspaces/{id}", workspaces.update, ADMINS),
    ("DELETE", "/workspaces/{id}", workspaces.delete, ADMINS),
    ("GET", "/sources", SOURCES.list_, BOTH),
    ("POST", "/sources", SOURCES.create, ADMINS),
    ("GET", "/sources/{id}", SOURCES.get, BOTH),
    ("PATCH", "/sources/{id}", SOURCES.patch, ADMINS),
    ("PUT", "/sources/{id}", SOURCES.put, ADMINS),
    ("DELETE", "/sources/{id}", SOURCES.delete, ADMINS),
    ("GET", "/destinations", DESTINATIONS.list_, BOTH),
    ("POST", "/destinations", DESTINATIONS.create, ADMINS),
    ("GET", "/destinations/{id}", DESTINATIONS.get, BOTH),
    ("PATCH", "/destinations/{id}", DESTINATIONS.patch, ADMINS),
    ("PUT", "/destinations/{id}", DESTINATIONS.put, ADMINS),
    ("DELETE", "/destinations/{id}", DESTINATIONS.delete, ADMINS),
    ("GET", "/connections", connections.list_, BOTH),
    ("POST", "/connections", connections.create, ADMINS),
    ("GET", "/connections/{id}", connections.get, BOTH),
    ("PATCH", "/connections/{id}", connections.patch, ADMINS),
    ("DELETE", "/connections/{id}", connections.delete, ADMINS),
    ("GET", "/streams", streams.list_, BOTH),
    ("GET", "/jobs", jobs.list_, BOTH),
    ("POST", "/jobs", jobs.create, BOTH),
    ("GET", "/jobs/{id}", jobs.get, BOTH),
    ("DELETE", "/jobs/{id}", jobs.cancel, BOTH),
    ("GET", "/jobs/{id}/log", jobs.log, BOTH),
)


class Door:
    """Turns requests into calls: known client, allowed scope, bounded body, in that order of cheapness."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def route(self, path: str) -> Route:
        ways = {method: (handler, scopes) for method, known, handler, scopes in TABLE if known == path}

        async def endpoint(request: Request) -> Response:
            handler, scopes = ways[request.method if request.method != "HEAD" else "GET"]
            client = None
            try:
                if scopes != ANYONE:
                    client = self._service.tokens.judge(request.headers.get("authorization"))
                    auth.require(client, scopes)
                return await handler(await self._call(request, client))
            except Exception as error:
                return _answer_to(error, f"{request.method} {path}")

        return Route(BASE + path, endpoint, methods=list(ways))

    async def _call(self, request: Request, client: auth.Client | None) -> Call:
        return Call(
            service=self._service,
            client=client,
            path=request.path_params,
            query=request.query_params,
            body=await self._body(request, client is not None),
            content_type=request.headers.get("content-type", "").lower(),
            address=str(request.url.replace(query=None)),
        )

    async def _body(self, request: Request, is_known: bool) -> bytes:
        limits = self._service.settings.limits
        most = limits.body_bytes if is_known else min(limits.body_bytes, UNKNOWN_BYTES)
        whole = bytearray()
        try:
            async with asyncio.timeout(limits.body_seconds):
                async for chunk in request.stream():
                    whole += chunk
                    if len(whole) > most:
                        raise Problem(413, "payload-too-large", f"The body is larger than {most} bytes.")
        except ClientDisconnect:
            raise bad_request("The client left before its body had arrived.") from None
        except TimeoutError:
            sentence = f"The body had not arrived after {limits.body_seconds:g} seconds."
            raise Problem(408, "request-timeout", sentence) from None
        return bytes(whole)


def answer(problem: Problem) -> Response:
    # Whoever sends a body by drops would keep the connection by it.
    headers = {401: {"WWW-Authenticate": "Bearer"}, 408: {"Connection": "close"}}.get(problem.status)
    return JSONResponse(problem.body(), problem.status, headers, media_type="application/problem+json")


def _answer_to(error: Exception, asked: str) -> Response:
    """A full disk is nobody's mistake and passes. What nobody expected is told to the log alone, and answered here:
    the server would answer it too, and hang up on the client, whose next request would find nobody.
    """
    match error:
        case Problem():
            return answer(error)
        case sqlite3.OperationalError():
            log.error("the state cannot be written: %s", error)
            return answer(unavailable(f"The service's state cannot be written: {error}."))
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            log.error("there is no room: %s", error)
            return answer(unavailable(f"The service has no room on its disk: {error.strerror}."))
    log.error("%s failed", asked, exc_info=error)
    return answer(
        Problem(500, "unexpected-problem", "The service failed at this request; its log says more.")
    )


async def _on_http(request: Request, error: Exception) -> Response:
    """Paths and methods that do not exist."""
    assert isinstance(error, HTTPException)
    title = {404: "resource-not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
    said = answer(Problem(error.status_code, title, f"{request.method} is not known at this path."))
    said.headers.update(error.headers or {})  # of a method that does not exist: those that do
    return said


def build(service: Service) -> Starlette:
    """The application. The supervisor lives as long as it does."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        workspaces.ensure_one(service.database)
        await service.supervisor.recover()
        task = asyncio.create_task(service.supervisor.run())
        yield
        await service.supervisor.close()
        await task
        service.close()

    door = Door(service)
    return Starlette(
        routes=[door.route(path) for path in dict.fromkeys(path for _, path, _, _ in TABLE)],
        lifespan=lifespan,
        exception_handlers={HTTPException: _on_http},
    )
