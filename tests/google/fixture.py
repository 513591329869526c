"""The stand-in as pytest fixtures, `google` and `google_server`; a conftest imports both."""

from collections.abc import Iterator

import pytest

from tests.google.client import Google


@pytest.fixture(scope="session")
def google_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """One process for all tests (of a worker)."""
    stand_in = Google(tmp_path_factory.mktemp("google")).start()
    yield stand_in
    stand_in.stop()


@pytest.fixture(scope="session")
def google_machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Google]:
    """A stand-in whose instances are real machines; for tests marked `machine`."""
    stand_in = Google(tmp_path_factory.mktemp("google-machines"), "--machines", "docker").start()
    yield stand_in
    stand_in.stop()


@pytest.fixture
def google(google_server: Google) -> Iterator[Google]:
    """An empty project. At the end every request must have been one that Google's documents allow."""
    google_server.reset()
    yield google_server
    if not google_server.tolerates_violations:
        assert google_server.violations() == []
