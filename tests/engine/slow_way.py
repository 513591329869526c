"""A way to a host that lets little through, or from some byte on nothing: both ends stay connected."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

BLOCK = 2**14


@contextmanager
def leading_to(
    address: str, port: int = 22, *, bytes_a_second: int = 2**30, falls_silent_after: int = 2**40
) -> Iterator[int]:
    """The port on loopback where the way begins. Both figures are about what goes to the host; once it is silent,
    nothing comes back either.
    """
    silent = threading.Event()
    held: list[socket.socket] = []

    def forth(source: socket.socket, sink: socket.socket) -> None:
        passed = 0
        with suppress(OSError):
            while block := source.recv(BLOCK):
                passed += len(block)
                if passed > falls_silent_after:
                    silent.set()
                    return
                sink.sendall(block)
                time.sleep(len(block) / bytes_a_second)

    def back(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while (block := source.recv(BLOCK)) and not silent.is_set():
                sink.sendall(block)

    def accept(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                near, _ = listening.accept()
                far = socket.create_connection((address, port), timeout=10)
                far.settimeout(None)
                held.extend((near, far))
                for way, ends in ((forth, (near, far)), (back, (far, near))):
                    threading.Thread(target=way, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept, args=(listening,), daemon=True)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)  # wakes the thread, which closing alone does not
            accepting.join()
            for one in held:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()
