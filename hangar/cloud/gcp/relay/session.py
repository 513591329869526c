"""One tunnel over as many websockets as it takes: a session outlives a connection that breaks."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from hangar.cloud.gcp.relay import endings
from hangar.cloud.gcp.relay.carrier import Carrier, first
from hangar.cloud.gcp.relay.endings import Broken
from hangar.cloud.gcp.relay.ends import Ends
from hangar.cloud.gcp.relay.framing import FramingError
from hangar.cloud.gcp.relay.stream import Stream
from hangar.cloud.gcp.relay.target import Target

BEGIN_PATIENCE = 20.0
RESUME_PATIENCE = 120.0
"""Seconds for which another connection is tried: at the start, and for a session that stands."""

FIRST_PAUSE, LONGEST_PAUSE = 0.25, 8.0
"""Seconds between two tries, after the first which comes at once."""

FINISH_PATIENCE = 10.0
"""Seconds that the reader on our side may take for the last bytes."""

Dial = Callable[[str, bool], Coroutine[Any, Any, ClientConnection]]
"""Opens a websocket by its URL; told whether it takes a fresh token. Raises Broken or HangarError."""


class Session:
    """Carries bytes between two descriptors and a machine."""

    def __init__(self, target: Target, dial: Dial, read_from: int, write_to: int) -> None:
        self._target = target
        self._dial = dial
        self._stream = Stream()
        self._ends = Ends(self._stream, read_from, write_to)

    async def run(self) -> None:
        """Returns when the tunnel has ended in order: `ssh` wants no more, or the machine.

        Raises:
            HangarError: it could not be opened, or was lost for good.
        """
        try:
            await self._until_over()
        finally:
            await self._ends.outlet.finish(FINISH_PATIENCE)

    async def _until_over(self) -> None:
        clock = asyncio.get_running_loop().time
        since, pause, stale_token = clock(), 0.0, False
        while not self._ends.over.is_set():
            try:
                await self._connection(stale_token)
                return
            except Broken as broken:
                if self._stream.is_open:
                    since, pause = clock(), 0.0
                patience = RESUME_PATIENCE if self._stream.name else BEGIN_PATIENCE
                if clock() + pause - since > patience or (stale_token and broken.stale_token):
                    raise broken.error from broken
                stale_token = broken.stale_token
                if self._ends.has_ended and not self._stream.name:
                    raise broken.error from broken
            if self._ends.has_ended:
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ends.over.wait(), pause)
            pause = min(max(2 * pause, FIRST_PAUSE), LONGEST_PAUSE)

    async def _connection(self, fresh_token: bool) -> None:
        """One websocket, from its opening until either side has ended in order."""
        self._stream.begin()
        websocket = await first(self._dial(self._url(), fresh_token), self._ends.over.wait())
        if websocket is None:
            return
        try:
            await Carrier(websocket, self._stream, self._ends).run()
        except ConnectionClosed as closed:
            self._on_close(closed)
        except FramingError as error:
            raise endings.explain(endings.MISUNDERSTOOD, str(error), self._target) from error
        finally:
            await websocket.close()

    def _url(self) -> str:
        if self._stream.name:
            return self._target.reconnect_url(self._stream.name, self._stream.received)
        return self._target.connect_url()

    def _on_close(self, closed: ConnectionClosed) -> None:
        """Returns when the machine has ended the tunnel in order."""
        code, reason = (closed.rcvd.code, closed.rcvd.reason) if closed.rcvd else (1006, "")
        if code == endings.NORMAL and self._stream.is_open:
            return
        error = endings.explain(code, self._stream.reason or reason, self._target)
        if code in endings.PASSING or (code == endings.IN_USE and self._stream.name):
            raise Broken(error, stale_token=code == endings.REAUTHENTICATE) from closed
        raise error from closed
