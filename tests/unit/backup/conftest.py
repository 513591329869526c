"""A folder with backups as the machine makes them: real objects, encrypted to a key of the test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import config, paths, process
from hangar.backup import keys
from hangar.backup.folder import Folder
from hangar.backup.records import Backup, Sealed

Make = Callable[..., Backup]


@pytest.fixture
def settings(make_config: Callable[..., config.Config]) -> config.Config:
    """The defaults, and the key that Hangar makes."""
    found = make_config()
    keys.ensure(found)
    return found


@pytest.fixture
def folder(settings: config.Config) -> Folder:
    return Folder.of(settings)


@pytest.fixture
def make(folder: Folder) -> Make:
    """Puts a backup into the folder, with one part of its own and those that it shares."""

    def made(
        identifier: str, *shared: Sealed, content: str = "data", machine: str = "hangar-local"
    ) -> Backup:
        name = f"files-{identifier}.age"
        place = folder.fresh(name)
        public = paths.backup_key("local").with_name("backup-key.pub")
        process.run(["age", "-R", str(public), "-o", str(place)], input=content)
        folder.take(name)
        raw = (folder.path / name).read_bytes()
        part = Sealed("files", name, len(raw), hashlib.sha256(raw).hexdigest(), identifier)
        found = Backup(identifier, machine, "", 1.0, (part, *shared), {"airflow": 2001}, (), ("files",))
        folder.write_index(found)
        return found

    return made


@pytest.fixture
def other_key(tmp_path: Path) -> Path:
    from hangar.ssh.keys import ensure_key

    ensure_key(tmp_path / "other", "somebody else's")
    return tmp_path / "other"
