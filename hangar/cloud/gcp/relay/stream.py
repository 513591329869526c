"""Both directions of a session, counted, so that it can go on where it was on another connection. No I/O."""

from hangar.cloud.gcp.relay import framing
from hangar.cloud.gcp.relay.framing import FramingError
from hangar.cloud.gcp.relay.outbox import Outbox

ACK_AFTER = 2 * framing.MAX_DATA
"""Bytes that may arrive before the other side is told: twice its largest frame, as gcloud does."""


class Stream:
    """`name` is the session's once it stands; `received` the bytes that arrived; `reason` what the other side said of
    the end that it is about to make.
    """

    def __init__(self) -> None:
        self.outbox = Outbox()
        self.name = ""
        self.received = 0
        self.is_open = False
        self.reason = ""
        self._acknowledged = 0

    def begin(self) -> None:
        """A new connection, on which nothing was said yet."""
        self.is_open = False
        self.reason = ""

    def take_in(self, frame: framing.Frame) -> memoryview | None:
        """Counts a frame; returns what is to be handed on.

        Raises:
            FramingError: the frame has no place here.
        """
        match frame:
            case framing.Data(payload) if self.is_open:
                self.received += len(payload)
                return payload
            case framing.Ack(received) if self.is_open:
                self.outbox.acknowledge(received)
            case framing.Connected(name) if name and not self.name:
                self.name, self.is_open = name, True
            case framing.Reconnected(received) if self.name and not self.is_open:
                self.outbox.resume(received)
                self._acknowledged, self.is_open = self.received, True
            case framing.LongClose(_, reason):
                self.reason = reason
            case _:
                raise FramingError(f"a frame of kind {type(frame).__name__} out of turn")
        return None

    def is_ack_due(self) -> bool:
        return self.received - self._acknowledged > ACK_AFTER

    def ack(self) -> bytes | None:
        """The frame that tells what has arrived since the last one; None if that is nothing."""
        if self.received == self._acknowledged:
            return None
        self._acknowledged = self.received
        return framing.ack(self.received)
