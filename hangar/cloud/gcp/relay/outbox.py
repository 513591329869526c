"""What goes out: bytes wait here until the other side has said that they arrived. No I/O."""

from collections import deque

from hangar.cloud.gcp.relay.framing import MAX_DATA, FramingError


class Outbox:
    """A queue of chunks that remembers what was taken until it is acknowledged, and can begin again from there."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._taken: deque[bytes] = deque()
        self._acknowledged = 0
        self.sent = 0
        """Bytes that were taken, less those that have to be sent again."""

        self.size = 0
        """Bytes that are kept: those that wait and those that are not acknowledged."""

    @property
    def is_drained(self) -> bool:
        """Whether everything was taken."""
        return not self._waiting

    def put(self, content: bytes) -> None:
        self.size += len(content)
        if len(content) <= MAX_DATA:
            self._waiting.append(content)
            return
        self._waiting.extend(content[at : at + MAX_DATA] for at in range(0, len(content), MAX_DATA))

    def take(self) -> bytes | None:
        """The next chunk to send, at most one frame's; None if there is none."""
        if not self._waiting:
            return None
        chunk = self._waiting.popleft()
        self._taken.append(chunk)
        self.sent += len(chunk)
        return chunk

    def acknowledge(self, received: int) -> None:
        """`received` bytes have arrived in all. What is older than the last word on it says nothing new.

        Raises:
            FramingError: more has arrived than was sent.
        """
        if received > self.sent:
            raise FramingError(f"{received} bytes are acknowledged, {self.sent} were sent")
        while self._acknowledged < received:
            chunk = self._taken.popleft()
            missing = received - self._acknowledged
            if missing < len(chunk):
                self._taken.appendleft(chunk[missing:])
            done = min(missing, len(chunk))
            self._acknowledged += done
            self.size -= done

    def resume(self, received: int) -> None:
        """On a new connection: everything from `received` on is to be sent again.

        Raises:
            FramingError: those bytes are not here any more, or were never sent.
        """
        if received < self._acknowledged:
            raise FramingError(f"{received} bytes have arrived, but {self._acknowledged} were acknowledged")
        self.acknowledge(received)
        self._waiting.extendleft(reversed(self._taken))
        self._taken.clear()
        self.sent = received
