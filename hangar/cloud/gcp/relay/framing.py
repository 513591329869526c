"""The frames that IAP speaks inside a websocket (SSH Relay v4): bytes in, frames out, and back. No I/O.

A frame is a big-endian tag of 16 bits and what the tag says. Tags that are not known are ignored, with the rest of
their message, since nobody can say how long they are.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass

CONNECTED, RECONNECTED, DATA, ACK, LONG_CLOSE = 1, 2, 4, 7, 10
MAX_DATA = 16384
"""Bytes of payload in a frame, at most."""

MAX_TEXT = 65536
"""Bytes of a session's name or of a reason, at most; more is not believed."""

_TAG = struct.Struct(">H")
_LENGTH = struct.Struct(">I")
_COUNT = struct.Struct(">Q")
_DATA_HEAD = struct.Struct(">HI")
_ACK_FRAME = struct.Struct(">HQ")


class FramingError(ValueError):
    """The other side does not keep to the protocol."""


@dataclass(frozen=True, slots=True)
class Connected:
    """The session stands; `session` is the name by which it can be taken up again."""

    session: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The session was taken up again; `received` bytes of ours have arrived in all."""

    received: int


@dataclass(frozen=True, slots=True)
class Data:
    payload: memoryview


@dataclass(frozen=True, slots=True)
class Ack:
    """`received` bytes of ours have arrived in all."""

    received: int


@dataclass(frozen=True, slots=True)
class LongClose:
    """Why the websocket is about to be closed."""

    code: int
    reason: str


Frame = Connected | Reconnected | Data | Ack | LongClose


def data(payload: bytes) -> bytes:
    """A frame with at most `MAX_DATA` bytes."""
    return _DATA_HEAD.pack(DATA, len(payload)) + payload


def ack(received: int) -> bytes:
    """Tells the other side how many bytes have arrived in all."""
    return _ACK_FRAME.pack(ACK, received)


class Decoder:
    """Takes messages as they come; keeps the beginning of a frame until its end arrives with a later one."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, message: bytes) -> list[Frame]:
        """The frames that are complete now.

        Raises:
            FramingError: a length is beyond what the protocol allows.
        """
        view = memoryview(self._rest + message if self._rest else message)
        frames: list[Frame] = []
        frame, at = _next(view, 0)
        while frame is not None:
            frames.append(frame)
            frame, at = _next(view, at)
        self._rest = bytes(view[at:])
        return frames


def _next(view: memoryview, at: int) -> tuple[Frame | None, int]:
    """The frame at `at` and where the next one begins. No frame: from where on the bytes are to be kept."""
    if len(view) - at < _TAG.size:
        return None, at
    (tag,) = _TAG.unpack_from(view, at)
    body = at + _TAG.size
    if tag == DATA:
        return _block(view, at, body, MAX_DATA, lambda found: Data(found))
    if tag in (ACK, RECONNECTED):
        if len(view) - body < _COUNT.size:
            return None, at
        (count,) = _COUNT.unpack_from(view, body)
        return (Ack(count) if tag == ACK else Reconnected(count)), body + _COUNT.size
    if tag == CONNECTED:
        return _block(view, at, body, MAX_TEXT, lambda found: Connected(_text(found)))
    if tag == LONG_CLOSE:
        return _long_close(view, at, body)
    return None, len(view)


def _long_close(view: memoryview, at: int, body: int) -> tuple[Frame | None, int]:
    if len(view) - body < _LENGTH.size:
        return None, at
    (code,) = _LENGTH.unpack_from(view, body)
    return _block(view, at, body + _LENGTH.size, MAX_TEXT, lambda found: LongClose(code, _text(found)))


def _block(
    view: memoryview, at: int, body: int, limit: int, make: Callable[[memoryview], Frame]
) -> tuple[Frame | None, int]:
    """A frame that ends in a length and as many bytes."""
    if len(view) - body < _LENGTH.size:
        return None, at
    (length,) = _LENGTH.unpack_from(view, body)
    if length > limit:
        raise FramingError(f"a frame of {length} bytes, where {limit} are allowed")
    begin = body + _LENGTH.size
    if len(view) - begin < length:
        return None, at
    return make(view[begin : begin + length]), begin + length


def _text(found: memoryview) -> str:
    return bytes(found).decode("utf-8", errors="replace")
