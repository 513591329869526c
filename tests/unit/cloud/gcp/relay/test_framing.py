from __future__ import annotations

import random
import struct

import pytest

from hangar.cloud.gcp.relay import framing
from hangar.cloud.gcp.relay.framing import Ack, Connected, Data, Decoder, FramingError, LongClose, Reconnected

SAMPLES = [
    (struct.pack(">HI", 1, 3) + b"abc", Connected("abc")),
    (struct.pack(">HQ", 2, 2**40), Reconnected(2**40)),
    (struct.pack(">HI", 4, 5) + b"hello", Data(memoryview(b"hello"))),
    (struct.pack(">HI", 4, 0), Data(memoryview(b""))),
    (struct.pack(">HI", 4, 16384) + b"x" * 16384, Data(memoryview(b"x" * 16384))),
    (struct.pack(">HQ", 7, 32769), Ack(32769)),
    (struct.pack(">HII", 10, 4010, 4) + b"gone", LongClose(4010, "gone")),
]


@pytest.mark.parametrize(("message", "frame"), SAMPLES)
def test_each_frame_is_read(message: bytes, frame: framing.Frame) -> None:
    assert Decoder().feed(message) == [frame]


@pytest.mark.parametrize("seed", range(50))
def test_frames_are_the_same_however_they_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    chosen = [chance.choice(SAMPLES) for _ in range(chance.randrange(1, 12))]
    stream = b"".join(message for message, _ in chosen)
    cuts = sorted(chance.choices(range(len(stream) + 1), k=chance.randrange(0, 12)))
    decoder, found = Decoder(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += decoder.feed(stream[begin:end])
    assert found == [frame for _, frame in chosen]


@pytest.mark.parametrize("tag", [0, 3, 5, 6, 8, 9, 11, 99, 65535])
def test_an_unknown_tag_is_ignored_with_the_rest_of_its_message(tag: int) -> None:
    decoder = Decoder()
    assert decoder.feed(struct.pack(">HQ", 7, 1) + struct.pack(">HI", tag, 2) + b"??") == [Ack(1)]
    assert decoder.feed(struct.pack(">HQ", 7, 2)) == [Ack(2)]


def test_a_frame_that_claims_too_much_is_refused() -> None:
    with pytest.raises(FramingError, match="a frame of 16385 bytes, where 16384 are allowed"):
        Decoder().feed(struct.pack(">HI", 4, 16385))
    with pytest.raises(FramingError):
        Decoder().feed(struct.pack(">HI", 1, 2**31))


def test_what_we_write_is_what_the_protocol_says() -> None:
    assert framing.data(b"ab") == b"\x00\x04\x00\x00\x00\x02ab"
    assert framing.ack(4096) == b"\x00\x07\x00\x00\x00\x00\x00\x00\x10\x00"
