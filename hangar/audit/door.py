"""A port of this computer's own for programs that know no proxy command: each connection to it takes the way anew."""

import contextlib
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from hangar.errors import HangarError
from hangar.process.connection import connected

LOOK = 0.2
"""Seconds between two looks whether the door is to be shut."""


@dataclass(frozen=True)
class Door:
    """`port` is on 127.0.0.1; `said` is what the ways said that led nowhere."""

    port: int
    said: list[str] = field(default_factory=list)


@contextlib.contextmanager
def opened(argv: Sequence[str]) -> Iterator[Door]:
    """A door to where a proxy command leads, shut with the block."""
    shut = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LOOK)
        door = Door(server.getsockname()[1])
        guard = threading.Thread(target=_admit, args=(server, argv, door, shut), daemon=True)
        guard.start()
        try:
            yield door
        finally:
            shut.set()
            guard.join()


def _admit(server: socket.socket, argv: Sequence[str], door: Door, shut: threading.Event) -> None:
    led = []
    while not shut.is_set():
        with contextlib.suppress(TimeoutError):
            guest, _ = server.accept()
            led.append(threading.Thread(target=_lead, args=(guest, argv, door, shut), daemon=True))
            led[-1].start()
    for one in led:
        one.join()


def _lead(guest: socket.socket, argv: Sequence[str], door: Door, shut: threading.Event) -> None:
    with guest:
        try:
            with connected(argv) as way:
                if not _carry(guest, way.socket, shut) and (said := way.said()):
                    door.said.append(said)
        except HangarError as error:
            door.said.append(error.brief)


def _carry(guest: socket.socket, way: socket.socket, shut: threading.Event) -> bool:
    """Both directions until one end is closed. True if anything came back."""
    heard = False
    ends = {guest: way, way: guest}
    with contextlib.suppress(OSError):  # the other end is gone already
        while not shut.is_set():
            for end in select.select(list(ends), [], [], LOOK)[0]:
                block = end.recv(2**16)
                if not block:
                    return heard
                heard = heard or end is way
                ends[end].sendall(block)
    return heard
