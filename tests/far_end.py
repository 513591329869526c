"""The other end of the relay, for tests: a websocket server that speaks SSH Relay v4 in front of a TCP port.

It keeps sessions as IAP does, and misbehaves on demand. It shares no code with the relay.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response


@dataclass
class Faults:
    """What goes wrong. Counts are of bytes, in either direction, since the connection began."""

    close_at_connect: list[tuple[int, str]] = field(default_factory=list)
    """A code and a reason for each of the first connections, which are closed at once with it."""

    status: int | None = None
    """Answer every request with this HTTP status."""

    redirect: str | None = None
    """Answer every request with the way to another endpoint."""

    drop_after: int | None = None
    """Cut the line after so many bytes, every time."""

    refuse_reconnects: list[tuple[int, str]] = field(default_factory=list)
    old_acks: bool = False
    """Repeat an acknowledgement from before after each new one."""

    junk: bool = False
    """Unknown tags between the frames."""

    merge: bool = False
    """Two frames a message, and frames that are cut in two."""

    lie_in_ack: bool = False
    mute: bool = False
    """Never says that the session stands."""

    deaf: bool = False
    """Answers no ping."""


@dataclass
class Session:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    up: int = 0
    """Bytes that came from the relay and went to the backend."""

    down: int = 0
    """Bytes that were taken from the backend, and those of them that the relay has not acknowledged."""

    kept: bytearray = field(default_factory=bytearray)
    acknowledged: int = 0
    connection: ServerConnection | None = None
    pump: asyncio.Task[None] | None = None


class _Deaf(ServerConnection):
    """Answers no ping."""

    def data_received(self, data: bytes) -> None:
        if data[0] != 0x89:  # a ping, which comes alone while nobody talks
            super().data_received(data)


class FarEnd:
    """Runs in a thread of its own; `port` is where it listens."""

    def __init__(self, backend: int, faults: Faults | None = None, ssl: Any = None) -> None:
        self.backend = backend
        self.faults = faults or Faults()
        self.requests: list[tuple[str, dict[str, str], dict[str, str]]] = []
        """Path, query and headers of each websocket that was asked for."""

        self.sessions: dict[str, Session] = {}
        self.relay_acks: list[int] = []
        self.errors: list[Exception] = []
        self.port = 0
        self._ssl = ssl
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> FarEnd:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)
        assert self.errors == []

    @property
    def endpoint(self) -> str:
        return f"{'wss' if self._ssl else 'ws'}://127.0.0.1:{self.port}"

    def drop_all(self) -> None:
        """Cuts every line now."""
        for session in list(self.sessions.values()):
            if session.connection is not None:
                self._loop.call_soon_threadsafe(session.connection.transport.abort)

    def fall_silent(self) -> None:
        """The lines that are open now lead nowhere any more, and nobody says so."""
        for session in list(self.sessions.values()):
            if session.connection is not None:
                self._loop.call_soon_threadsafe(session.connection.transport.pause_reading)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._stop = asyncio.Event()
        with contextlib.suppress(asyncio.CancelledError):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server: Server = await serve(
            self._handle, "127.0.0.1", 0, ssl=self._ssl, compression=None, ping_interval=None,
            subprotocols=["relay.tunnel.cloudproxy.app"], process_request=self._request, max_size=None,
            close_timeout=0.2, create_connection=_Deaf if self.faults.deaf else ServerConnection,
        )  # fmt: skip
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for session in self.sessions.values():
            session.writer.close()
            if session.pump is not None:
                session.pump.cancel()
        await server.wait_closed()

    def _request(self, connection: ServerConnection, request: Request) -> Response | None:
        parts = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        self.requests.append((parts.path, query, dict(request.headers.raw_items())))
        if self.faults.redirect is not None:
            response = connection.respond(302, "elsewhere\n")
            response.headers["Location"] = self.faults.redirect + request.path
            return response
        if self.faults.status is not None:
            return connection.respond(self.faults.status, "no\n")
        return None

    async def _handle(self, connection: ServerConnection) -> None:
        assert connection.subprotocol == "relay.tunnel.cloudproxy.app"
        path, query, _ = self.requests[-1]
        if self.faults.mute:
            await connection.wait_closed()
            return
        queue = self.faults.close_at_connect if path == "/v4/connect" else self.faults.refuse_reconnects
        if queue:
            code, reason = queue.pop(0)
            if code == 1006:
                connection.transport.abort()
            else:
                await connection.close(code, reason)
            return
        if path == "/v4/connect":
            session = await self._begin(connection)
        else:
            session = self.sessions.get(query["sid"])
            if session is None:
                await connection.close(4001, "no such session")
                return
            already = int(query["ack"]) - session.acknowledged
            if already < 0:
                await connection.close(4005, "bad ack")
                return
            if session.pump is not None:  # a line that the relay has given up before we noticed
                session.pump.cancel()
                await asyncio.gather(session.pump, return_exceptions=True)
            del session.kept[:already]
            session.acknowledged += already
            await connection.send(struct.pack(">HQ", 2, session.up))
        session.connection = connection
        session.pump = asyncio.ensure_future(self._pump(connection, session))
        (outcome,) = await asyncio.gather(session.pump, return_exceptions=True)
        if isinstance(outcome, Exception) and not isinstance(outcome, ConnectionClosed):
            self.errors.append(outcome)

    async def _begin(self, connection: ServerConnection) -> Session:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.backend)
        session = Session(reader, writer)
        name = uuid.uuid4().hex
        self.sessions[name] = session
        await connection.send(struct.pack(">HI", 1, len(name)) + name.encode())
        return session

    async def _pump(self, connection: ServerConnection, session: Session) -> None:
        budget = [self.faults.drop_after]

        def spend(count: int) -> bool:
            """Whether the line is cut now."""
            if budget[0] is None:
                return False
            budget[0] -= count
            return budget[0] < 0

        down = asyncio.ensure_future(self._down(connection, session, spend))
        try:
            await self._up(connection, session, spend)
        except ConnectionClosed as closed:
            if closed.rcvd is not None:  # the relay said good-bye
                session.writer.close()
        finally:
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)

    async def _up(self, connection: ServerConnection, session: Session, spend: Callable[[int], bool]) -> None:
        told = session.up
        while True:
            message = await connection.recv(decode=False)
            (tag,) = struct.unpack_from(">H", message)
            if tag == 7:
                (count,) = struct.unpack_from(">Q", message, 2)
                self.relay_acks.append(count)
                assert session.acknowledged <= count <= session.down
                del session.kept[: count - session.acknowledged]
                session.acknowledged = count
                continue
            assert tag == 4
            (length,) = struct.unpack_from(">I", message, 2)
            assert length == len(message) - 6
            assert 0 < length <= 16384
            if spend(length):
                connection.transport.abort()
                await connection.wait_closed()
                return
            session.writer.write(message[6:])
            session.up += length
            await session.writer.drain()
            if session.up - told > 32768:
                before, told = told, session.up
                with contextlib.suppress(
                    ConnectionClosed
                ):  # it said good-bye behind what we still have to read
                    await connection.send(struct.pack(">HQ", 7, session.up + 7 * self.faults.lie_in_ack))
                    if self.faults.old_acks:
                        await connection.send(struct.pack(">HQ", 7, before))

    async def _down(
        self, connection: ServerConnection, session: Session, spend: Callable[[int], bool]
    ) -> None:
        if session.kept:
            for at in range(0, len(session.kept), 16384):
                await self._send(connection, bytes(session.kept[at : at + 16384]))
        while True:
            content = await session.reader.read(16384)
            if not content:
                await connection.close(4010, "failed to read from backend")
                return
            session.kept += content
            session.down += len(content)
            if spend(len(content)):
                connection.transport.abort()
                return
            await self._send(connection, content)

    async def _send(self, connection: ServerConnection, content: bytes) -> None:
        if self.faults.junk:
            await connection.send(b"\x00\x63" + b"what is this")
        if not self.faults.merge or len(content) < 2:
            await connection.send(struct.pack(">HI", 4, len(content)) + content)
            return
        half = len(content) // 2
        frames = b"".join(
            struct.pack(">HI", 4, len(part)) + part for part in (content[:half], content[half:])
        )
        cut = len(frames) * 2 // 3
        await connection.send(frames[:cut])
        await connection.send(frames[cut:])
