from __future__ import annotations

import random

import pytest

from hangar.cloud.gcp.relay.framing import FramingError
from hangar.cloud.gcp.relay.outbox import Outbox


def drain(outbox: Outbox) -> bytes:
    found = []
    while (chunk := outbox.take()) is not None:
        assert 0 < len(chunk) <= 16384
        found.append(chunk)
    return b"".join(found)


def test_what_is_put_comes_out_in_frames() -> None:
    outbox = Outbox()
    outbox.put(b"a" * 40000)
    outbox.put(b"b")
    assert not outbox.is_drained
    assert drain(outbox) == b"a" * 40000 + b"b"
    assert outbox.is_drained
    assert outbox.size == 40001


def test_what_has_arrived_is_forgotten_and_the_rest_is_sent_again() -> None:
    outbox = Outbox()
    outbox.put(b"0123456789")
    outbox.put(b"abc")
    outbox.take()
    outbox.resume(4)
    assert outbox.size == 9
    assert drain(outbox) == b"456789abc"


def test_an_old_acknowledgement_says_nothing_new() -> None:
    outbox = Outbox()
    outbox.put(b"0123456789")
    outbox.take()
    outbox.acknowledge(8)
    outbox.acknowledge(3)
    assert outbox.size == 2


def test_nobody_has_received_what_was_not_sent() -> None:
    outbox = Outbox()
    outbox.put(b"0123456789")
    with pytest.raises(FramingError, match="1 bytes are acknowledged, 0 were sent"):
        outbox.acknowledge(1)


def test_nobody_goes_back_behind_what_was_acknowledged() -> None:
    outbox = Outbox()
    outbox.put(b"0123456789")
    outbox.take()
    outbox.acknowledge(8)
    with pytest.raises(FramingError, match="7 bytes have arrived, but 8 were acknowledged"):
        outbox.resume(7)


@pytest.mark.parametrize("seed", range(30))
def test_whatever_happens_each_byte_arrives_once(seed: int) -> None:
    chance = random.Random(seed)
    content = chance.randbytes(200_000)
    outbox, arrived, given = Outbox(), b"", 0
    while len(arrived) < len(content):
        match chance.choice(("put", "take", "take", "lose", "acknowledge")):
            case "put":
                size = chance.randrange(1, 40_000)
                outbox.put(content[given : given + size]) if given < len(content) else None
                given = min(given + size, len(content))
            case "take":
                arrived += outbox.take() or b""
            case "lose":
                # The last frames never arrived; the other side says how far it got.
                keep = chance.randrange(max(0, len(arrived) - 20_000), len(arrived) + 1)
                keep = max(keep, given - outbox.size)
                arrived = arrived[:keep]
                outbox.resume(keep)
            case _:
                outbox.acknowledge(chance.randrange(len(arrived) + 1))
    assert arrived == content
