"""The far end of Google's tunnel: who may connect to what, and the bytes in both directions."""

import asyncio
import contextlib
import ipaddress
import secrets
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSMsgType, web

from tests.google import auth, operations
from tests.google.errors import GoogleError
from tests.google.frames import (
    ACK,
    CONNECT_SUCCESS_SID,
    DATA,
    MOST_DATA,
    ORIGIN,
    RECONNECT_SUCCESS_ACK,
    SUBPROTOCOL,
    Frame,
    Malformed,
    decode,
    encode,
)
from tests.google.held import handle
from tests.google.world import World

FAILED, REAUTHENTICATE, UNAUTHORISED, LOOKUP_FAILED, SID_UNKNOWN = 4003, 4004, 4033, 4047, 4001
"""Close codes: the backend does not answer (firewall, sshd) · the token is no longer good · the permission is
missing · there is no such instance or it is off · the session is not known."""

TUNNEL_RANGE = ipaddress.ip_network("35.235.240.0/20")
PERMISSION = "iap.tunnelInstances.accessViaIAP"
ACK_EVERY = 32 * 1024
"""Bytes received without an acknowledgement."""

MOST_UNACKNOWLEDGED = 4 * 1024 * 1024
"""Bytes sent without an acknowledgement: after that the far end reads no more from the machine."""

CONNECT_SECONDS = 10.0
LINGER_SECONDS = 60.0
"""A session without a websocket may be taken up again for so long."""


class Refused(Exception):
    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


@dataclass
class Session:
    """One connection to a machine; websockets come and go."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    principal: str
    sid: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    received: int = 0
    """Bytes from the client that went to the machine."""
    acknowledged_to_client: int = 0
    sent: int = 0
    """Bytes from the machine that were sent at least once."""
    kept: bytearray = field(default_factory=bytearray)
    """Bytes that were sent and are not acknowledged: a new websocket gets them again."""
    room: asyncio.Event = field(default_factory=asyncio.Event)
    lost: float = 0.0
    dropped: int = 0
    carried: int = 0
    ended: bool = False


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
            return await _closed(socket, Refused(SID_UNKNOWN, f"{acknowledged} bytes were never sent."))
        _forget(session, acknowledged)
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
            raise Refused(FAILED, f"Failed to connect to port {request.query['port']}") from None
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
            raise Refused(UNAUTHORISED, "not authorized")
        instance = world.state.resources.get(path)
        interfaces = [one["name"] for one in (instance or {}).get("networkInterfaces", ())]
        if instance is None or instance["status"] != "RUNNING" or query["interface"] not in interfaces:
            raise Refused(LOOKUP_FAILED, "failed to lookup the instance")
        if not admitted(world, path, int(query["port"])):
            raise Refused(FAILED, f"Failed to connect to port {query['port']}")
        return self._backend(path, instance, int(query["port"]))

    def _backend(self, path: str, instance: dict[str, Any], port: int) -> tuple[str, int]:
        ordered = self.world.rules.relay.get("backends", {}).get(instance["name"])
        if ordered:
            host, _, number = ordered.rpartition(":")
            return host, int(number)
        found = self.world.machines.address(handle(path, instance)) if self.world.machines else None
        if found is None:
            raise Refused(FAILED, f"Failed to connect to port {port}")
        return found[0], port

    async def _carry(self, socket: web.WebSocketResponse, session: Session) -> web.WebSocketResponse:
        """Both directions, until one end goes; the machine's connection outlives a lost websocket."""
        tasks = [
            asyncio.create_task(self._from_client(socket, session)),
            asyncio.create_task(self._from_machine(socket, session)),
        ]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                if error := task.exception():
                    raise error
        except Malformed as error:
            self.world.violation("relay", "iap.connect", f"The client sent {error}.")
            session.ended = True
            await socket.close(code=1002, message=str(error).encode())
        except ConnectionError:
            pass  # the websocket or the machine's connection is gone; `ended` says which
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._leave(session)
        if session.ended and not socket.closed:
            await socket.close(code=1000)
        return socket

    async def _from_client(self, socket: web.WebSocketResponse, session: Session) -> None:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                raise Malformed("a text message")
            if message.type is not WSMsgType.BINARY:
                continue
            frame = decode(message.data)
            if frame.tag == ACK:
                if not session.sent - len(session.kept) <= frame.number <= session.sent:
                    raise Malformed(f"an acknowledgement of {frame.number} bytes; {session.sent} were sent")
                _forget(session, frame.number)
            elif frame.tag == DATA:
                session.received += len(frame.data)
                session.writer.write(frame.data)
                await session.writer.drain()
                if session.received - session.acknowledged_to_client > ACK_EVERY:
                    session.acknowledged_to_client = session.received
                    await socket.send_bytes(encode(Frame(ACK, number=session.received)))
                await self._drop(socket, session, len(frame.data))
        if socket.close_code in (1000, 1001):
            session.ended = True

    async def _from_machine(self, socket: web.WebSocketResponse, session: Session) -> None:
        while True:
            while len(session.kept) >= MOST_UNACKNOWLEDGED:
                session.room.clear()
                await session.room.wait()
            data = await session.reader.read(MOST_DATA)
            if not data:
                session.ended = True
                return
            session.sent += len(data)
            session.kept += data
            await socket.send_bytes(encode(Frame(DATA, data)))
            await self._drop(socket, session, len(data))

    async def _drop(self, socket: web.WebSocketResponse, session: Session, more: int) -> None:
        """Cuts the websocket after as many bytes as a test ordered, as often as it ordered."""
        rule = self.world.rules.relay
        session.carried += more
        after, times = rule.get("drop_after"), rule.get("drops", 1)
        if after is None or session.dropped >= times or session.carried < after:
            return
        session.carried, session.dropped = 0, session.dropped + 1
        transport = socket._req.transport if socket._req else None
        if transport:
            transport.abort()
        raise ConnectionResetError

    def _leave(self, session: Session) -> None:
        """A session that ended is forgotten; one whose websocket was lost waits to be taken up again."""
        if session.ended:
            self._end(session)
        else:
            asyncio.get_running_loop().call_later(
                LINGER_SECONDS, self._end_if_lost, session, session.received
            )

    def _end_if_lost(self, session: Session, received: int) -> None:
        if session.received == received:
            self._end(session)

    def _end(self, session: Session) -> None:
        self.sessions.pop(session.sid, None)
        with contextlib.suppress(OSError):
            session.writer.close()


def admitted(world: World, path: str, port: int) -> bool:
    """Whether the firewall rules let the tunnel's range reach the port: the most urgent rule that matches decides,
    of two equals the one that denies, and without any nothing comes in.
    """
    instance = world.state.resources[path]
    rules = [
        rule
        for other, rule in world.state.resources.items()
        if other.split("/")[-2] == "firewalls" and _matches(rule, instance, port)
    ]
    decisive = min(rules, key=lambda rule: (rule["priority"], "allowed" in rule), default=None)
    return decisive is not None and "allowed" in decisive


def _matches(rule: dict[str, Any], instance: dict[str, Any], port: int) -> bool:
    networks = [interface["network"] for interface in instance["networkInterfaces"]]
    if rule["disabled"] or rule["direction"] != "INGRESS" or rule["network"] not in networks:
        return False
    accounts = {account["email"] for account in instance.get("serviceAccounts", ())}
    if rule.get("targetServiceAccounts") and not accounts & set(rule["targetServiceAccounts"]):
        return False
    if rule.get("targetTags") and not set(instance["tags"].get("items", ())) & set(rule["targetTags"]):
        return False
    ranges = [ipaddress.ip_network(one) for one in rule.get("sourceRanges", ())]
    denied = "denied" in rule
    covers = any(
        (TUNNEL_RANGE.overlaps(one) if denied else TUNNEL_RANGE.subnet_of(one))
        for one in ranges
        if one.version == TUNNEL_RANGE.version
    )
    return covers and any(_names_port(one, port) for one in rule.get("allowed", rule.get("denied", ())))


def _names_port(entry: dict[str, Any], port: int) -> bool:
    if entry["IPProtocol"].lower() not in ("tcp", "6", "all"):
        return False
    bounds = [one.split("-") for one in entry.get("ports", ())]
    return not bounds or any(
        int(first) <= port <= int(last) for first, *_, last in [(*one, one[-1]) for one in bounds]
    )


def _forget(session: Session, acknowledged: int) -> None:
    del session.kept[: acknowledged - (session.sent - len(session.kept))]
    session.room.set()


async def _closed(socket: web.WebSocketResponse, refused: Refused) -> web.WebSocketResponse:
    await socket.close(code=refused.code, message=refused.reason.encode())
    return socket
