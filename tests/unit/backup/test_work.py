"""What `backup now` leaves here when the machine could not send its backup on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar.backup import work
from hangar.backup.folder import Folder
from hangar.backup.machine import BackupFailed, Machine, Spool
from hangar.backup.records import Backup
from hangar.config import Config
from tests.unit.backup.conftest import Make

FIRST = "20261101T031500Z"


def spool_of(place: Path, *backups: Backup) -> dict[str, Callable[..., object]]:
    """A machine whose spool is a folder."""
    return {
        "show": lambda self: Spool(backups, (), 0.0, "", "", ""),
        "get": lambda self, name, fresh: shutil.copy(place / name, fresh),
    }


def test_what_could_not_be_sent_on_comes_here_and_the_failure_is_told(
    settings: Config, folder: Folder, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(FIRST)
    shutil.move(folder.path, tmp_path / "spool")

    def not_sent(self: Machine) -> None:
        raise BackupFailed("The backup failed; earlier ones stay as they are.", "* it stopped answering")

    for name, does in {**spool_of(tmp_path / "spool", made), "make": not_sent}.items():
        monkeypatch.setattr(Machine, name, does)
    with pytest.raises(BackupFailed) as failed:
        work.now(settings, lambda said: None)
    assert failed.value.details == "* it stopped answering"
    assert [one.id for one in folder.backups()] == [FIRST]
    assert folder.missing(made) == []
