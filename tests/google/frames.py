"""The frames of Google's tunnel protocol (relay.tunnel.cloudproxy.app): a tag of two bytes, then what it carries."""

import struct
from dataclasses import dataclass

SUBPROTOCOL = "relay.tunnel.cloudproxy.app"
ORIGIN = "bot:iap-tunneler"

CONNECT_SUCCESS_SID, RECONNECT_SUCCESS_ACK, DATA, ACK = 1, 2, 4, 7
MOST_DATA = 16384
"""Bytes in one DATA frame."""


class Malformed(Exception):
    """A frame that is not one."""


@dataclass(frozen=True)
class Frame:
    tag: int
    data: bytes = b""
    """Of DATA, or the sid."""
    number: int = 0
    """Of an acknowledgement: bytes received since the session began."""


def encode(frame: Frame) -> bytes:
    if frame.tag in (CONNECT_SUCCESS_SID, DATA):
        return struct.pack(">HI", frame.tag, len(frame.data)) + frame.data
    return struct.pack(">HQ", frame.tag, frame.number)


def decode(message: bytes) -> Frame:
    """The frame of one message; of an unknown tag only the tag is known.

    Raises:
        Malformed: it is too short, longer than it says, or carries more than a frame may.
    """
    if len(message) < 2:
        raise Malformed(f"a frame of {len(message)} bytes")
    tag = struct.unpack_from(">H", message)[0]
    if tag in (CONNECT_SUCCESS_SID, DATA):
        return Frame(tag, data=_counted(message))
    if tag in (RECONNECT_SUCCESS_ACK, ACK):
        if len(message) != 10:
            raise Malformed(f"an acknowledgement of {len(message)} bytes")
        return Frame(tag, number=struct.unpack_from(">Q", message, 2)[0])
    return Frame(tag)


def _counted(message: bytes) -> bytes:
    if len(message) < 6:
        raise Malformed(f"a frame of {len(message)} bytes")
    length = struct.unpack_from(">I", message, 2)[0]
    if length != len(message) - 6 or length > MOST_DATA:
        raise Malformed(f"a frame that says {length} bytes and carries {len(message) - 6}")
    return message[6:]
