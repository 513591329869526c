"""Small files that are secrets, or decide who comes in: whole, closed, and there after a power cut."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hangar.ssh import files


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_file_has_its_rights_from_the_first_byte_on(tmp_path: Path) -> None:
    assert files.write_atomically(tmp_path / "new folder" / "secret", "a\r\nb")
    assert (tmp_path / "new folder" / "secret").read_bytes() == b"a\r\nb"
    assert mode(tmp_path / "new folder" / "secret") == 0o600
    assert mode(tmp_path / "new folder") == 0o700
    assert files.write_atomically(tmp_path / "public", "a", 0o644)
    assert mode(tmp_path / "public") == 0o644


def test_one_that_somebody_opened_to_others_is_closed_again(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    assert files.write_atomically(path, "a")
    path.chmod(0o644)
    assert not files.write_atomically(path, "a"), "nothing of it changed"
    assert mode(path) == 0o600


def test_what_takes_the_name_is_on_the_disk_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after the rename would leave an empty file under the name of a key."""
    path, synced = tmp_path / "secret", []
    path.write_text("before")

    def fsync(descriptor: int) -> None:
        synced.append((os.pread(descriptor, 100, 0), path.read_text()))

    monkeypatch.setattr(os, "fsync", fsync)
    files.write_atomically(path, "after")
    assert synced == [(b"after", "before")]
    assert path.read_text() == "after"


def test_one_that_cannot_be_written_leaves_what_was_there_and_no_half_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "folder" / "secret"
    path.parent.mkdir()
    path.write_text("before")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        files.write_atomically(path, "after")
    assert [one.name for one in path.parent.iterdir()] == ["secret"]
    assert path.read_text() == "before"
