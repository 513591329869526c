"""What is removed at the host that takes backups: what is known to be ours to remove, and nothing that just came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest

from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.backup.retention import SAFE_DAYS
from hangar.config import Config

from .conftest import Make

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"
NOW = datetime(2026, 11, 4, tzinfo=UTC)


@pytest.fixture
def removed(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A host that has what the folder has; what it is told to remove."""
    told: list[str] = []

    def say(self: Host, lines: Sequence[str]) -> str:
        told.extend(line.rpartition("/")[2].strip('"') for line in lines if line.startswith("rm "))
        names = [path.name for path in folder.path.iterdir()] if lines[0].startswith("ls ") else []
        return "".join(f"---------- 1 999 999 1 Nov  1 03:15 {name}\n" for name in names)

    monkeypatch.setattr(Host, "_say", say)
    return told


def test_an_index_that_came_after_the_others_were_read_stays(
    settings: Config, make: Make, removed: list[str]
) -> None:
    """Another machine's, or one that is still on its way. What is torn for good goes when it is old."""
    old = make(FIRST)
    make(SECOND)
    host = Host(settings)
    assert host.keep(set(), [old], NOW) == [FIRST]
    assert removed == [f"{FIRST}.json"]
    removed.clear()
    assert host.keep({FIRST}, [old], NOW + timedelta(days=SAFE_DAYS)) == [SECOND]
    assert removed == [f"{SECOND}.json", f"files-{SECOND}.age"]
