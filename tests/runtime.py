"""What tests take of this computer, or of this process, that others use too: sockets, ports, the console."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest

from hangar import console


@pytest.fixture
def own_sockets(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of the test's own, with a path that is short enough. Sockets go by the environment's name alone: a test
    of `local` would otherwise close the forwards that somebody has open to a machine of that name.
    """
    with TemporaryDirectory(prefix="hangar-test-", dir="/tmp") as folder:
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        yield


@pytest.fixture(autouse=True)
def plain_console() -> Iterator[None]:
    """What a command line said of the console (--json, --yes) ends with its test, in whatever order they run."""
    yield
    console.configure()


def free_port() -> int:
    """A port of loopback at which nobody listens just now."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
