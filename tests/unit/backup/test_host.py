"""What is removed at the host that takes backups: what is known to be ours to remove, and nothing that just came."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hangar.backup import fetching, work
from hangar.backup.folder import Folder
from hangar.backup.host import Host
from hangar.backup.retention import SAFE_DAYS
from hangar.config import Config

from .conftest import Make, Sign

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
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


def test_a_machine_that_was_taken_makes_nothing_go_from_the_host(
    settings: Config, make: Make, sign: Sign, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may add there, and signs what it likes: the last of each day that was, and days to come. Whoever thins out
    would have removed the true ones for it.
    """
    first, second = make(FIRST), make(SECOND)
    forged = [
        sign(replace(first, id=f"{day}T235959Z")) for day in ("20261101", "20261102", "20261107", "20270101")
    ]
    indexes = [first, second, *forged]
    sizes = {f"{one.id}.json": 1 for one in reversed(indexes)}
    kept: list[set[str]] = []
    monkeypatch.setattr(Host, "sizes", lambda _: sizes)
    monkeypatch.setattr(Host, "indexes", lambda *_: indexes)
    monkeypatch.setattr(Host, "keep", lambda _, names, __: kept.append(names) or [])
    few = settings.backup.keep.model_copy(update={"daily": 2, "weekly": 0, "monthly": 0})
    sftp = settings.backup.sftp.model_copy(update={"host": "vault.example.org"})
    changed = settings.backup.model_copy(update={"keep": few, "sftp": sftp})
    work.thin_out(settings.model_copy(update={"backup": changed}), lambda _: None)
    assert {FIRST, SECOND} <= kept[0]


def test_of_honest_ones_the_old_go(settings: Config) -> None:
    days = [f"202610{day:02}T031500Z" for day in range(1, 32)]
    assert fetching.in_time(days) == days
    late = [*days, "20261005T120000Z", "20261101T031500Z", "20271101T031500Z"]
    assert fetching.in_time(late) == [*days, "20261101T031500Z"]
    assert fetching.in_time([]) == []


@pytest.mark.skipif(not SFTP_SERVER.exists(), reason="without OpenSSH's server of files")
def test_the_host_lists_what_came_last_first(
    settings: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number, name in enumerate((f"{SECOND}.json", f"{FIRST}.json", f"files-{FIRST}.age")):
        (tmp_path / name).write_text("x" * number)
        os.utime(tmp_path / name, (1_790_000_000 + number, 1_790_000_000 + number))
    host = Host(settings)
    host._sftp = settings.backup.sftp.model_copy(
        update={"host": "vault.example.org", "folder": str(tmp_path)}
    )
    monkeypatch.setattr(host, "_argv", lambda: ["sftp", "-b", "-", "-D", str(SFTP_SERVER)])
    assert list(host.sizes().items()) == [
        (f"files-{FIRST}.age", 2),
        (f"{FIRST}.json", 1),
        (f"{SECOND}.json", 0),
    ]
