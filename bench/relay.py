"""The relay against a plain connection, both on loopback: ``python -m bench.relay``.

The far end is the tests' own; it runs on the same processors, so what is measured is the least that the relay can do.
"""

from __future__ import annotations

import asyncio
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from bench.figure import Figure
from tests.backends import backend, echo
from tests.far_end import FarEnd
from tests.token_server import TokenServer

REPO = Path(__file__).resolve().parents[1]
AMOUNT = 100_000_000
"""Bytes: 800 Mbit."""

ROUNDS = 500


class Way(Protocol):
    """How a client reaches the backend."""

    def send(self, content: bytes) -> None: ...
    def receive(self, count: int) -> bytes: ...


class Plain:
    """A TCP connection."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, content: bytes) -> None:
        self._socket.sendall(content)

    def receive(self, count: int) -> bytes:
        return self._socket.recv(count)

    def close(self) -> None:
        self._socket.close()


class Relayed:
    """The relay's standard input and output, as ssh has them."""

    def __init__(self, far: FarEnd, tokens: TokenServer) -> None:
        environment = {
            **os.environ, "GOOGLE_APPLICATION_CREDENTIALS": str(tokens.file), "HANGAR_ALLOW_API_HOST": "127.0.0.1",
        }  # fmt: skip
        argv = [
            sys.executable, "-I", str(REPO / "hangar/cloud/gcp/relay"), "--project", "p", "--zone", "z-a",
            "--instance", "vm", "--endpoint", far.endpoint,
        ]  # fmt: skip
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        assert self._process.stdin
        assert self._process.stdout
        self._input, self._output = self._process.stdin.fileno(), self._process.stdout.fileno()

    def send(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._input, view) :]

    def receive(self, count: int) -> bytes:
        return os.read(self._output, count)

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def ways(port: int, tokens: TokenServer) -> Iterator[tuple[Plain, Relayed]]:
    """Both ways to a backend."""
    with FarEnd(port) as far:
        plain, relayed = Plain(port), Relayed(far, tokens)
        try:
            yield plain, relayed
        finally:
            plain.close()
            relayed.close()


def round_trip(way: Way) -> float:
    """The median of many small questions and answers, in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        way.send(b"x" * 64)
        received = 0
        while received < 64:
            received += len(way.receive(64 - received))
        taken.append(time.perf_counter() - start)
    return statistics.median(taken) * 1000


def download(way: Way) -> float:
    """Mbit/s from the backend, once it flows."""
    way.send(b"go")
    received, start = len(way.receive(1 << 18)), time.perf_counter()
    while received < AMOUNT:
        received += len(way.receive(1 << 18))
    return received * 8e-6 / (time.perf_counter() - start)


def upload(way: Way) -> float:
    """Mbit/s to the backend, which says when it has everything."""
    way.send(b"go")
    way.receive(2)
    start = time.perf_counter()
    threading.Thread(target=way.send, args=(bytes(AMOUNT),), daemon=True).start()
    way.receive(2)
    return AMOUNT * 8e-6 / (time.perf_counter() - start)


async def give(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A backend that sends on demand."""
    await reader.readexactly(2)
    block = bytes(1 << 20)
    for _ in range(AMOUNT // len(block) + 1):
        writer.write(block)
        await writer.drain()


async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A backend that says when it is ready, and when it has everything."""
    await reader.readexactly(2)
    writer.write(b"go")
    missing = AMOUNT
    while missing > 0:
        missing -= len(await reader.read(1 << 18))
    writer.write(b"ok")


def relay_figures() -> list[Figure]:
    """Latency, throughput both ways, and the start."""
    with tempfile.TemporaryDirectory() as folder, TokenServer(Path(folder)) as tokens:
        with echo() as port, FarEnd(port) as far:
            starts = [first_byte(far, tokens) for _ in range(5)]
        with echo() as port, ways(port, tokens) as (plain, relayed):
            round_trip(relayed)
            added = round_trip(relayed) - round_trip(plain)
        with backend(give) as port, ways(port, tokens) as both:
            down = [download(way) for way in both]
        with backend(take) as port, ways(port, tokens) as both:
            up = [upload(way) for way in both]
    print(
        f"plain connection: {down[0]:.0f} Mbit/s down, {up[0]:.0f} up; relay: {down[1]:.0f} down, {up[1]:.0f} up"
    )
    return [
        Figure("relay: a round trip's added latency", added, 2.0, "ms"),
        Figure("relay: time for 200 Mbit from the machine", 200 / down[1], 1.0, "s"),
        Figure("relay: time for 200 Mbit to the machine", 200 / up[1], 1.0, "s"),
        Figure("relay: start to the first byte", statistics.median(starts), 1.0, "s"),
    ]


def first_byte(far: FarEnd, tokens: TokenServer) -> float:
    """Seconds from the start until a byte has gone there and back."""
    start = time.perf_counter()
    relayed = Relayed(far, tokens)
    relayed.send(b"x")
    relayed.receive(1)
    taken = time.perf_counter() - start
    relayed.close()
    return taken


def main() -> int:
    """Print the relay's figures alone; 1 when a budget is missed."""
    figures = relay_figures()
    for figure in figures:
        print(figure.row())
    return 0 if all(figure.value <= figure.budget for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
