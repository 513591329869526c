from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.server import Server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One service for the tests that leave it as it was."""
    running = Server(tmp_path_factory.mktemp("service")).start()
    yield running
    running.stop()


@pytest.fixture
def make_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """A service of the test's own, with the options that it names."""
    made: list[Server] = []

    def make(*options: str, connector: str = "toy") -> Server:
        # before it starts: one that does not come up is ended too
        made.append(Server(tmp_path, *options, connector=connector))
        return made[-1].start()

    yield make
    for running in made:
        running.stop()
