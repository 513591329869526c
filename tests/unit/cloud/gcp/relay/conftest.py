from __future__ import annotations

import asyncio
import contextlib
import os
import threading
from collections.abc import Callable, Iterator

import pytest

from hangar.cloud.gcp.relay.session import Session
from hangar.cloud.gcp.relay.target import Target
from hangar.cloud.gcp.relay.websocket import dialler
from hangar.errors import HangarError

PATIENCE = 20


class Tunnel:
    """A session in a thread of its own, between two pipes."""

    def __init__(self, endpoint: str, token: Callable[[bool], str]) -> None:
        target = Target("p", "z", "vm", endpoint=endpoint)
        read_from, self.input = os.pipe()
        self.output, write_to = os.pipe()
        self.error: HangarError | None = None

        async def run() -> None:
            await Session(target, dialler(target, token), read_from, write_to).run()

        def work() -> None:
            try:
                asyncio.run(run())
            except HangarError as error:
                self.error = error
            finally:
                os.close(write_to)

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def send(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self.input, view[:65536]) :]

    def read(self, count: int) -> bytes:
        found = b""
        while len(found) < count and (more := os.read(self.output, min(count - len(found), 1 << 20))):
            found += more
        return found

    def read_to_end(self) -> bytes:
        return b"".join(iter(lambda: os.read(self.output, 1 << 20), b""))

    def exchange(self, content: bytes) -> bytes:
        """What comes back from an echo, sent and read at the same time."""
        sender = threading.Thread(target=self.send, args=(content,), daemon=True)
        sender.start()
        return self.read(len(content))

    def close(self) -> None:
        os.close(self.input)
        self.input = -1

    def wait(self) -> HangarError | None:
        """How it ended."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "the tunnel does not end"
        return self.error

    def clear(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.input)
        os.close(self.output)
        self._thread.join(PATIENCE)


@pytest.fixture
def tunnel() -> Iterator[Callable[..., Tunnel]]:
    made: list[Tunnel] = []

    def make(endpoint: str, token: Callable[[bool], str] = lambda fresh: "token") -> Tunnel:
        made.append(Tunnel(endpoint, token))
        return made[-1]

    yield make
    for one in made:
        one.clear()
