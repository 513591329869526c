"""A tunnel's session: one connection to a machine, carried by a websocket, or by several after one another."""

import asyncio
import secrets
from dataclasses import dataclass, field

from aiohttp import WSMessage, WSMsgType, web

from tests.google.frames import ACK, DATA, MOST_DATA, Frame, Malformed, decode, encode
from tests.google.world import World

SID_UNKNOWN, FAILED_TO_CONNECT, BAD_ACK, INVALID_OPCODE, INVALID_DATA = 4001, 4003, 4005, 4007, 4013
NOT_AUTHORIZED, LOOKUP_FAILED = 4033, 4047
"""Close codes, as the public clients of the protocol name them."""

ACK_EVERY = 32 * 1024
"""Bytes received without an acknowledgement."""

MOST_UNACKNOWLEDGED = 4 * 1024 * 1024
"""Bytes sent without an acknowledgement: after that the far end reads no more from the machine."""


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
    tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    """What carries the bytes of the websocket that is there now."""
    websockets: int = 1
    dropped: int = 0
    carried: int = 0
    ended: bool = False


@dataclass(frozen=True)
class Carriage:
    """The bytes of one session through one websocket, in both directions."""

    world: World
    socket: web.WebSocketResponse
    session: Session

    async def from_client(self) -> None:
        socket, session = self.socket, self.session
        async for message in socket:
            frame = self._read(message)
            if frame.tag == ACK:
                if not session.sent - len(session.kept) <= frame.number <= session.sent:
                    raise self._wrong(
                        BAD_ACK, f"an acknowledgement of {frame.number} bytes; {session.sent} were sent"
                    )
                forget(session, frame.number)
            elif frame.tag == DATA:
                session.received += len(frame.data)
                session.writer.write(frame.data)
                await session.writer.drain()
                if session.received - session.acknowledged_to_client > ACK_EVERY:
                    session.acknowledged_to_client = session.received
                    await socket.send_bytes(encode(Frame(ACK, number=session.received)))
                await self._drop(len(frame.data))
        if socket.close_code in (1000, 1001):
            session.ended = True

    def _read(self, message: WSMessage) -> Frame:
        if message.type is not WSMsgType.BINARY:
            raise self._wrong(INVALID_OPCODE, f"a {message.type.name.lower()} message")
        try:
            return decode(message.data)
        except Malformed as error:
            raise self._wrong(INVALID_DATA, str(error)) from None

    def _wrong(self, code: int, what: str) -> Refused:
        self.world.violation("relay", "iap.connect", f"The client sent {what}.")
        return Refused(code, what)

    async def from_machine(self) -> None:
        socket, session = self.socket, self.session
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
            await self._drop(len(data))

    async def _drop(self, more: int) -> None:
        """Cuts the websocket after as many bytes as a test ordered, as often as it ordered, or closes it."""
        socket, session, rule = self.socket, self.session, self.world.rules.relay
        session.carried += more
        after, times = rule.get("drop_after"), rule.get("drops", 1)
        if after is None or session.dropped >= times or session.carried < after:
            return
        session.carried, session.dropped = 0, session.dropped + 1
        if "code" in rule:
            raise Refused(rule["code"], "ordered by a test")
        transport = socket._req.transport if socket._req else None
        if transport:
            transport.abort()
        raise ConnectionResetError


def forget(session: Session, acknowledged: int) -> None:
    del session.kept[: acknowledged - (session.sent - len(session.kept))]
    session.room.set()


async def halt(session: Session) -> None:
    """Lets go of the websocket that a session has, if it still has one. No byte is lost: see `kept`."""
    for task in session.tasks:
        task.cancel()
    await asyncio.gather(*session.tasks, return_exceptions=True)
    session.tasks = []
