"""The stand-in as a pytest fixture: `from tests.google.fixture import google` in a conftest."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.google.client import Google


@pytest.fixture
def google(tmp_path: Path) -> Iterator[Google]:
    """A stand-in of the test's own. What it was asked must have been right, unless the test says otherwise."""
    folder = tmp_path / "google"
    folder.mkdir()
    stand_in = Google(folder).start()
    try:
        yield stand_in
    finally:
        stand_in.stop()
