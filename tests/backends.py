"""A TCP port that a coroutine serves, for tests and figures of the relay."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def echo() -> Iterator[int]:
    """A TCP port that gives back what it gets, reading and writing at the same time."""
    with backend(_echo) as port:
        yield port


async def _echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while content := await reader.read(65536):
        writer.write(content)
        await writer.drain()
    writer.close()


@contextlib.contextmanager
def backend(
    handler: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Any],
) -> Iterator[int]:
    """A TCP port served by a coroutine, in a thread of its own."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    found: dict[str, Any] = {}

    async def run() -> None:
        server = await asyncio.start_server(handler, "127.0.0.1", 0)
        found["port"] = server.sockets[0].getsockname()[1]
        found["stop"] = asyncio.Event()
        ready.set()
        await found["stop"].wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(run()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield found["port"]
    finally:
        loop.call_soon_threadsafe(found["stop"].set)
        thread.join(10)
