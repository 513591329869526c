"""One websocket of a session, from its opening to its end."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from hangar.cloud.gcp.relay import framing
from hangar.cloud.gcp.relay.ends import Ends
from hangar.cloud.gcp.relay.stream import Stream

LATE_ACK = 2.0
"""Seconds after which the other side is told of fewer bytes than it takes to tell it at once."""

KEEP_ALIVE = 20.0
"""Seconds between two pings, so that no router on the way forgets the connection; also how long an answer may take."""

OPEN_PATIENCE = 60.0
"""Seconds that IAP may take to reach the machine, as gcloud allows it."""


class Carrier:
    """Carries the stream over a websocket. What its end means is for others to say."""

    def __init__(self, websocket: ClientConnection, stream: Stream, ends: Ends) -> None:
        self._websocket = websocket
        self._stream = stream
        self._ends = ends
        self._opened = asyncio.Event()
        self._messages = 0

    async def run(self) -> None:
        """Returns when `ssh` wants no more.

        Raises:
            ConnectionClosed: the websocket has ended; everything that came by it was handed on.
            FramingError: the other side does not keep to the protocol.
        """
        # Only the reader knows when the last message was handed on, so only it may report the end.
        helpers = (self._write(), self._open_in_time(), self._acknowledge_late(), self._keep_alive())
        tasks = [asyncio.ensure_future(_quiet(helper)) for helper in helpers]
        try:
            await first(self._read(), self._ends.over.wait())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self) -> None:
        decoder = framing.Decoder()
        while True:
            message = await self._websocket.recv(decode=False)
            self._messages += 1
            for frame in decoder.feed(message):
                payload = self._stream.take_in(frame)
                if payload is not None:
                    self._ends.outlet.write(payload)
            if self._stream.is_open and not self._opened.is_set():
                self._opened.set()
            if self._stream.is_ack_due():
                self._ends.wake.set()
            self._ends.resume_if_possible()
            await self._ends.outlet.room()

    async def _write(self) -> None:
        """Sends what there is. The reader never sends: it would wait for room, and the other side for the reader."""
        await self._opened.wait()
        while True:
            self._ends.wake.clear()
            if self._stream.is_ack_due():
                await self._acknowledge()
            chunk = self._stream.outbox.take()
            if chunk is not None:
                await self._websocket.send(framing.data(chunk))
            elif self._ends.has_ended:
                self._ends.over.set()
                return
            else:
                await self._ends.wake.wait()

    async def _acknowledge(self) -> None:
        frame = self._stream.ack()
        if frame is not None:
            await self._websocket.send(frame)

    async def _acknowledge_late(self) -> None:
        while True:
            await asyncio.sleep(LATE_ACK)
            if self._stream.is_open:
                await self._acknowledge()

    async def _open_in_time(self) -> None:
        try:
            await asyncio.wait_for(self._opened.wait(), OPEN_PATIENCE)
        except TimeoutError:
            self._websocket.transport.abort()

    async def _keep_alive(self) -> None:
        """Pings. A side that used to answer and falls silent altogether is lost: the network may be another one."""
        answers = False
        while True:
            await asyncio.sleep(KEEP_ALIVE)
            before = self._messages
            pong = asyncio.ensure_future(await self._websocket.ping())
            answered, _ = await asyncio.wait([pong], timeout=KEEP_ALIVE)
            if answered:
                answers = True
            elif answers and self._messages == before:
                self._websocket.transport.abort()
                return


async def first(work: Coroutine[Any, Any, Any], end: Coroutine[Any, Any, Any]) -> Any:
    """The result of `work`, or None if `end` comes first. The other one is cancelled."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(end)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return tasks[0].result() if tasks[0].done() else None
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _quiet(work: Coroutine[Any, Any, None]) -> None:
    with suppress(ConnectionClosed):  # the reader reports it
        await work
