"""A folder with backups as the machine makes them: real objects, encrypted to a key of the test's own."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hangar import config, paths, process
from hangar.backup import fetching, keys, signers
from hangar.backup.folder import Folder
from hangar.backup.records import Backup, Sealed, plain

Make = Callable[..., Backup]
Sign = Callable[..., Backup]


@pytest.fixture
def settings(make_config: Callable[..., config.Config]) -> config.Config:
    """The defaults, and the key that Hangar makes."""
    found = make_config()
    keys.ensure(found)
    return found


@pytest.fixture(autouse=True)
def today(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whenever the tests run, their backups were made in the last days."""
    monkeypatch.setattr(fetching, "now", lambda: datetime(2026, 11, 4, tzinfo=UTC))


@pytest.fixture
def signing_key(tmp_path: Path) -> Path:
    """The machine's."""
    from hangar.ssh.keys import ensure_key

    ensure_key(tmp_path / "signing", "hangar-local signs backups")
    return tmp_path / "signing"


@pytest.fixture
def sign(settings: config.Config, signing_key: Path) -> Sign:
    """Signs an index as the machine does, whose key this computer has met; or by another's key."""
    public = signing_key.with_name("signing.pub").read_text()
    signers.remember("local", " ".join(public.split()[:2]), [])

    def signed(backup: Backup, key: Path = signing_key) -> Backup:
        argv = ["ssh-keygen", "-Y", "sign", "-q", "-f", str(key), "-n", "hangar-backup"]
        return replace(backup, signature=process.run(argv, input=plain(backup)).stdout)

    return signed


@pytest.fixture
def folder(settings: config.Config) -> Folder:
    return Folder.of(settings)


@pytest.fixture
def make(folder: Folder, sign: Sign) -> Make:
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
        found = sign(found)
        folder.write_index(found)
        return found

    return made


@pytest.fixture
def other_key(tmp_path: Path) -> Path:
    from hangar.ssh.keys import ensure_key

    ensure_key(tmp_path / "other", "somebody else's")
    return tmp_path / "other"
