"""Our own side of the tunnel: what `ssh` gives goes into the stream's outbox, what arrives goes to `ssh`."""

import asyncio

from hangar.cloud.gcp.relay.stdio import Inlet, Outlet
from hangar.cloud.gcp.relay.stream import Stream

WINDOW = 4 << 20
"""Bytes of ours that may be under way: enough for 300 Mbit/s over 100 ms."""


FLUSH_PATIENCE = 10.0
"""Seconds without any progress after which what `ssh` gave last is not sent any more; `ssh` itself is gone by then."""


class Ends:
    """`wake` is set when there may be something to send, `over` when `ssh` wants no more of the tunnel."""

    def __init__(self, stream: Stream, read_from: int, write_to: int) -> None:
        self.wake = asyncio.Event()
        self.over = asyncio.Event()
        self.has_ended = False
        self._stream = stream
        self._inlet = Inlet(read_from, self._on_input, self._watch_the_rest)
        self.outlet = Outlet(write_to, self.over.set)

    def _on_input(self, content: bytes) -> None:
        if content:
            self._stream.outbox.put(content)
            if self._stream.outbox.size > WINDOW:
                self._inlet.pause()
        else:
            self.has_ended = True
            if not self._stream.is_open and (self._stream.name or self._stream.outbox.is_drained):
                # Nothing is left to be sent, or what is left belongs to a connection that is lost.
                self.over.set()
            self._watch_the_rest()
        self.wake.set()

    def _watch_the_rest(self, sent_before: int = -1) -> None:
        """`ssh` is gone. A machine that takes nothing must not keep us for ever."""
        sent = self._stream.outbox.sent
        if sent == sent_before:
            self.over.set()
        else:
            asyncio.get_running_loop().call_later(FLUSH_PATIENCE, self._watch_the_rest, sent)

    def resume_if_possible(self) -> None:
        """After an acknowledgement: more may be read."""
        if self._stream.outbox.size < WINDOW // 2:
            self._inlet.resume()
