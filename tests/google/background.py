"""Work on machines, in threads, while the server goes on answering; its end is told in the server's own thread."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from hangar.errors import HangarError

Done = Callable[[Any, Exception | None], None]


class Background:
    """Threads of one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._threads = ThreadPoolExecutor(max_workers=16, thread_name_prefix="machines")

    def run(self, work: Callable[[], Any], done: Done) -> None:
        """Begins `work`; `done` gets its result, or what it raised."""
        self._threads.submit(work).add_done_callback(
            lambda future: self._loop.call_soon_threadsafe(self._tell, future, done)
        )

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    @staticmethod
    def _tell(future: "Future[Any]", done: Done) -> None:
        if future.cancelled():
            return
        error = future.exception()
        if error is not None and not isinstance(error, Exception):
            raise error
        done(None if error else future.result(), error)


def told(error: Exception) -> str:
    """What an error says, in one line."""
    text = (
        f"{error.brief} {error.details}"
        if isinstance(error, HangarError)
        else f"{type(error).__name__}: {error}"
    )
    return " ".join(text.split())[:500]
