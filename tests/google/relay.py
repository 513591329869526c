"""The far end of Google's tunnel: who may connect to what, and the bytes in both directions."""

import asyncio
import contextlib
from typing import Any

from aiohttp import web

from tests.google import auth, operations
from tests.google.errors import GoogleError
from tests.google.firewall import admitted
from tests.google.frames import (
    CONNECT_SUCCESS_SID,
    DATA,
    MOST_DATA,
    ORIGIN,
    RECONNECT_SUCCESS_ACK,
    SUBPROTOCOL,
    Frame,
    encode,
)
from tests.google.held import handle
from tests.google.session import (
    BAD_ACK,
    FAILED_TO_CONNECT,
    LOOKUP_FAILED,
    NOT_AUTHORIZED,
    SID_UNKNOWN,
    Carriage,
    Refused,
    Session,
    forget,
    halt,
)  # fmt: skip
from tests.google.world import World

PERMISSION = "iap.tunnelInstances.accessViaIAP"
CONNECT_SECONDS = 10.0
LINGER_SECONDS = 60.0
"""A session without a websocket may be taken up again for so long."""


class Relay:
    """The websocket paths /v4/connect and /v4/reconnect."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.sessions: dict[str, Session] = {}

    def add_routes(self, app: web.Application) -> None:
        app.router.add_get("/v4/connect", self.connect)
        app.router.add_get("/v4/reconnect", self.reconnect)

    async def connect(self, request: web.Request) -> web.StreamResponse:
        socket, principal = await self._open(request, "iap.connect")
        try:
            session = await self._new(request, principal)
        except Refused as refused:
            return await _closed(socket, refused)
        self.sessions[session.sid] = session
        await socket.send_bytes(encode(Frame(CONNECT_SUCCESS_SID, session.sid.encode())))
        return await self._carry(socket, session)

    async def reconnect(self, request: web.Request) -> web.StreamResponse:
        socket, principal = await self._open(request, "iap.reconnect")
        session = self.sessions.get(request.query.get("sid", ""))
        acknowledged = int(request.query.get("ack", "0"))
        if session is None or session.principal != principal:
            return await _closed(socket, Refused(SID_UNKNOWN, "The session is not known."))
        if not session.sent - len(session.kept) <= acknowledged <= session.sent:
            return await _closed(socket, Refused(BAD_ACK, f"{acknowledged} bytes were never sent."))
        await halt(session)
        session.websockets += 1
        forget(session, acknowledged)
        await socket.send_bytes(encode(Frame(RECONNECT_SUCCESS_ACK, number=session.received)))
        session.acknowledged_to_client = session.received
        for start in range(0, len(session.kept), MOST_DATA):
            await socket.send_bytes(encode(Frame(DATA, bytes(session.kept[start : start + MOST_DATA]))))
        return await self._carry(socket, session)

    async def _open(self, request: web.Request, method: str) -> tuple[web.WebSocketResponse, str]:
        """The websocket, and whose it is.

        Raises:
            HTTPUnauthorized, HTTPForbidden, HTTPBadRequest: before it becomes a websocket.
        """
        entry = {
            "number": len(self.world.journal) + 1,
            "method": method,
            "values": dict(request.query),
            "body": {},
        }
        self.world.journal.append(entry | {"principal": "", "permissions": [PERMISSION], "status": 0})
        entry = self.world.journal[-1]
        try:
            entry["principal"] = auth.principal(self.world.state, request.headers.get("Authorization"))
        except GoogleError as error:
            entry["status"] = 401
            raise web.HTTPUnauthorized(text=error.message) from None
        if request.headers.get("Origin") != ORIGIN:
            self.world.violation("relay", method, f"Origin is not {ORIGIN}: {request.headers.get('Origin')}")
            raise web.HTTPForbidden(text="Origin")
        if SUBPROTOCOL not in request.headers.get("Sec-WebSocket-Protocol", ""):
            self.world.violation("relay", method, f"The subprotocol {SUBPROTOCOL} is not offered.")
            raise web.HTTPBadRequest(text="Sec-WebSocket-Protocol")
        socket = web.WebSocketResponse(protocols=(SUBPROTOCOL,), max_msg_size=0, compress=False)
        await socket.prepare(request)
        entry["status"] = 101
        return socket, entry["principal"]

    async def _new(self, request: web.Request, principal: str) -> Session:
        host, port = self._target(request.query)
        try:
            reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), CONNECT_SECONDS)
        except (OSError, TimeoutError):
            raise Refused(FAILED_TO_CONNECT, f"Failed to connect to port {request.query['port']}") from None
        return Session(reader, writer, principal)

    def _target(self, query: Any) -> tuple[str, int]:
        """Where the instance's port is, if it may be reached through the tunnel."""
        world = self.world
        operations.settle(world)
        for name in ("project", "zone", "instance", "interface", "port"):
            if not query.get(name):
                world.violation("relay", "iap.connect", f"The parameter {name} is missing.")
                raise Refused(LOOKUP_FAILED, f"{name} is missing")
        path = f"projects/{query['project']}/zones/{query['zone']}/instances/{query['instance']}"
        if world.rules.is_denied(query["project"], PERMISSION):
            raise Refused(NOT_AUTHORIZED, "not authorized")
        instance = world.state.resources.get(path)
        interfaces = [one["name"] for one in (instance or {}).get("networkInterfaces", ())]
        if instance is None or instance["status"] != "RUNNING" or query["interface"] not in interfaces:
            raise Refused(LOOKUP_FAILED, "failed to lookup the instance")
        if not admitted(world, path, int(query["port"])):
            raise Refused(FAILED_TO_CONNECT, f"Failed to connect to port {query['port']}")
        return self._backend(path, instance, int(query["port"]))

    def _backend(self, path: str, instance: dict[str, Any], port: int) -> tuple[str, int]:
        ordered = self.world.rules.relay.get("backends", {}).get(instance["name"])
        if ordered:
            host, _, number = ordered.rpartition(":")
            return host, int(number)
        found = self.world.machines.address(handle(path, instance)) if self.world.machines else None
        if found is None:
            raise Refused(FAILED_TO_CONNECT, f"Failed to connect to port {port}")
        return found[0], port

    async def _carry(self, socket: web.WebSocketResponse, session: Session) -> web.WebSocketResponse:
        """Both directions, until one end goes; the machine's connection outlives a lost websocket."""
        carriage = Carriage(self.world, socket, session)
        session.tasks = [
            asyncio.create_task(carriage.from_client()),
            asyncio.create_task(carriage.from_machine()),
        ]
        number = session.websockets
        try:
            done, _ = await asyncio.wait(session.tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if not task.cancelled():
                    task.result()
        except Refused as refused:
            session.ended = True
            await _closed(socket, refused)
        except ConnectionError:
            pass  # the websocket is gone; its session may be taken up again
        if session.websockets == number:
            await halt(session)
            self._leave(session)
        if session.ended and not socket.closed:
            await socket.close(code=1000)
        return socket

    def _leave(self, session: Session) -> None:
        """A session that ended is forgotten; one whose websocket was lost waits to be taken up again."""
        if session.ended:
            self._end(session)
        else:
            asyncio.get_running_loop().call_later(
                LINGER_SECONDS, self._end_if_lost, session, session.received
            )

    def _end_if_lost(self, session: Session, websockets: int) -> None:
        if session.websockets == websockets:
            self._end(session)

    def _end(self, session: Session) -> None:
        self.sessions.pop(session.sid, None)
        with contextlib.suppress(OSError):
            session.writer.close()


async def _closed(socket: web.WebSocketResponse, refused: Refused) -> web.WebSocketResponse:
    await socket.close(code=refused.code, message=refused.reason.encode())
    return socket
