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
"""Seconds between two looks whether the port is to be closed."""


@dataclass(frozen=True)
class LocalPort:
    """`port` is on 127.0.0.1; `said` is what the ways said that led nowhere."""

    port: int
    said: list[str] = field(default_factory=list)


@contextlib.contextmanager
def opened(argv: Sequence[str]) -> Iterator[LocalPort]:
    """A port that leads to where a proxy command leads, closed with the block."""
    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LOOK)
        port = LocalPort(server.getsockname()[1])
        guard = threading.Thread(target=_admit, args=(server, argv, port, closed), daemon=True)
        guard.start()
        try:
            yield port
        finally:
            closed.set()
            guard.join()


def _admit(server: socket.socket, argv: Sequence[str], port: LocalPort, closed: threading.Event) -> None:
    led = []
    while not closed.is_set():
        with contextlib.suppress(TimeoutError):
            guest, _ = server.accept()
            led.append(threading.Thread(target=_lead, args=(guest, argv, port, closed), daemon=True))
            led[-1].start()
    for one in led:
        one.join()


def _lead(guest: socket.socket, argv: Sequence[str], port: LocalPort, closed: threading.Event) -> None:
    with guest:
        try:
            with connected(argv) as way:
                if not _carry(guest, way.socket, closed) and (said := way.said()):
                    port.said.append(said)
        except HangarError as error:
            port.said.append(error.brief)


def _carry(guest: socket.socket, way: socket.socket, closed: threading.Event) -> bool:
    """Both directions until one end is closed. True if anything came back."""
    heard = False
    ends = {guest: way, way: guest}
    with contextlib.suppress(OSError):  # the other end is gone already
        while not closed.is_set():
            for end in select.select(list(ends), [], [], LOOK)[0]:
                block = end.recv(2**16)
                if not block:
                    return heard
                heard = heard or end is way
                ends[end].sendall(block)
    return heard
