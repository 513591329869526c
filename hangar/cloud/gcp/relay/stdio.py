"""Standard input and output for an event loop. A thread each: Windows cannot wait for a pipe in any other way."""

import asyncio
import contextlib
import os
import queue
import select
import sys
import threading
from collections.abc import Callable

CHUNK = 65536
"""Bytes that are read at once: what a pipe holds."""

HIGH, LOW = 1 << 20, 1 << 19
"""Bytes that may wait for a slow reader of ours; from the one on nothing more is taken, from the other on it is."""


def binary(*descriptors: int) -> None:
    """Windows would turn line ends into others."""
    if sys.platform == "win32":
        import msvcrt

        for descriptor in descriptors:
            msvcrt.setmode(descriptor, os.O_BINARY)


LOOK = 1.0
"""Seconds between two looks, while nothing is read, whether there is anybody at the other end."""


class Inlet:
    """Reads a descriptor to its end. `on_data` is called in the loop; without a byte it is the end. `on_left` is
    called there when the writer has gone while we paused; what it wrote can still be read.
    """

    def __init__(
        self, descriptor: int, on_data: Callable[[bytes], None], on_left: Callable[[], None]
    ) -> None:
        self._descriptor = descriptor
        self._on_data = on_data
        self._on_left = on_left
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self._open.set()
        threading.Thread(target=self._run, daemon=True).start()

    def pause(self) -> None:
        self._open.clear()

    def resume(self) -> None:
        self._open.set()

    def _run(self) -> None:
        content = b"?"
        while content:
            self._wait()
            try:
                content = os.read(self._descriptor, CHUNK)
            except OSError:  # the other end is gone
                content = b""
            with contextlib.suppress(RuntimeError):  # the loop has ended before us
                self._loop.call_soon_threadsafe(self._on_data, content)

    def _wait(self) -> None:
        """Until we may read."""
        told = False
        while not self._open.wait(LOOK):
            if not told and _is_left(self._descriptor):
                told = True
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._on_left)


def _is_left(descriptor: int) -> bool:
    """Whether the writer has gone, though not everything was read. Windows cannot say it of a pipe."""
    if sys.platform == "win32":
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))


class Outlet:
    """Writes to a descriptor in order. `on_broken` is called in the loop when nobody reads any more."""

    def __init__(self, descriptor: int, on_broken: Callable[[], None]) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._loop = asyncio.get_running_loop()
        self._queue: queue.SimpleQueue[memoryview | None] = queue.SimpleQueue()
        self._put = self._written = 0  # each is counted by one thread alone
        self._room = asyncio.Event()
        self._wanted = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def write(self, content: memoryview) -> None:
        self._put += len(content)
        self._queue.put(content)

    async def room(self) -> None:
        """Returns when no more than `HIGH` bytes wait, after a while of more when fewer than `LOW` do."""
        if self._put - self._written > HIGH:
            self._room.clear()
            self._wanted = True
            if self._put - self._written > LOW:
                await self._room.wait()

    async def finish(self, patience: float) -> None:
        """Returns when everything is written, or after `patience` seconds."""
        self._queue.put(None)
        await asyncio.to_thread(self._thread.join, patience)

    def _run(self) -> None:
        while (content := self._queue.get()) is not None:
            try:
                self._write(content)
            except OSError:
                self._tell(self._on_broken)
                return
            self._written += len(content)
            if self._wanted and self._put - self._written <= LOW:
                self._wanted = False
                self._tell(self._room.set)

    def _write(self, content: memoryview) -> None:
        done = os.write(self._descriptor, content)
        while done < len(content):
            done += os.write(self._descriptor, content[done:])

    def _tell(self, what: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended before us
            self._loop.call_soon_threadsafe(what)
