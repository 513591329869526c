"""What root puts back lands in its place or nowhere: the folders there are written by services and by people."""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hangar_backup import databases, files, inside, keys_and_people, standing_in
from hangar_backup.described import Refused
from hangar_files import FileProblem

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="what root does in others' folders")
AIRBYTE = 2002
LINK = "is a symbolic link that root did not make; not followed"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A service's folder below one of root's, and beside it what only root may write."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/shadow").write_text("root's")
    folder = tmp_path / "srv/airbyte/data"
    folder.mkdir(parents=True)
    os.chown(folder, AIRBYTE, AIRBYTE)
    folder.chmod(0o2770)
    return folder


def link(place: Path, target: Path) -> None:
    """As the service makes one."""
    place.symlink_to(target)
    os.chown(place, AIRBYTE, AIRBYTE, follow_symlinks=False)


def untouched(data: Path) -> bool:
    etc = data.parents[2] / "etc"
    shadow = etc / "shadow"
    return [path.name for path in etc.iterdir()] == ["shadow"] and (
        shadow.read_text(), shadow.stat().st_uid, shadow.stat().st_mode & 0o777) == ("root's", 0, 0o644)  # fmt: skip


@pytest.mark.parametrize("name", [".restored", "state.sqlite", "state.sqlite-wal", "state.sqlite-shm"])
@pytest.mark.parametrize("target", ["shadow", "ld.so.preload"])
def test_airbytes_records_are_put_back_through_no_link(
    data: Path, tmp_path: Path, name: str, target: str
) -> None:
    (tmp_path / "copy").write_text("records")
    link(data / name, tmp_path / "etc" / target)
    standing_in.take_the_place_of(data / "state.sqlite", tmp_path / "copy")
    assert untouched(data)
    found = (data / "state.sqlite").lstat()
    assert (data / "state.sqlite").read_text() == "records"
    assert (found.st_uid, found.st_gid, found.st_mode) == (AIRBYTE, AIRBYTE, 0o100600)
    assert {path.name for path in data.iterdir()} <= {"state.sqlite", ".restored"}


def test_the_records_stay_with_whom_they_were(data: Path, tmp_path: Path) -> None:
    (tmp_path / "copy").write_text("records")
    (data / "state.sqlite").touch()
    os.chown(data / "state.sqlite", 2003, 2004)
    standing_in.take_the_place_of(data / "state.sqlite", tmp_path / "copy")
    assert ((data / "state.sqlite").stat().st_uid, (data / "state.sqlite").stat().st_gid) == (2003, 2004)


def secrets(tmp_path: Path, name: str) -> Path:
    """An archive of secrets that holds a key of that name."""
    key = tmp_path / "old/airbyte/data/keys" / name
    key.parent.mkdir(parents=True)
    key.write_text("mine")
    (tmp_path / "archive").mkdir()
    files.pack([key.parent], tmp_path / "archive/secrets", root=tmp_path / "old")
    return tmp_path / "archive/secrets"


@pytest.fixture
def put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    monkeypatch.setattr(keys_and_people, "WORK", tmp_path)
    monkeypatch.setattr(keys_and_people, "LEDGER", tmp_path / "srv/people/accounts.json")
    return lambda archive: keys_and_people.put_back(archive, tmp_path / "srv")


def test_keys_go_through_no_link_in_the_place_of_their_folder(
    data: Path, tmp_path: Path, put_back: Callable[[Path], None]
) -> None:
    archive = secrets(tmp_path, "shadow")
    link(data / "keys", tmp_path / "etc")
    with pytest.raises(FileProblem) as problem:
        put_back(archive)
    assert str(problem.value) == f"{data}/keys: {LINK}"
    assert untouched(data)


def test_keys_go_through_no_link_that_has_their_name(
    data: Path, tmp_path: Path, put_back: Callable[[Path], None]
) -> None:
    archive = secrets(tmp_path, "key")
    (data / "keys").mkdir()
    for name in ("key", ".key.new"):
        link(data / "keys" / name, tmp_path / "etc/shadow")
    put_back(archive)
    assert untouched(data)
    assert (data / "keys/key").read_text() == "mine"
    assert not (data / "keys/key").is_symlink()


def test_what_a_killed_restore_left_goes_and_a_failed_one_leaves_nothing(data: Path) -> None:
    (data / f"{inside.MARK}0123-key").touch()
    (data / "folder").mkdir()
    inside.put(io.BytesIO(b"1"), data / "key", 1, 1, 0o400)
    with pytest.raises(FileProblem, match=f"{data}/folder: cannot be written: Is a directory"):
        inside.put(io.BytesIO(b"1"), data / "folder", 1, 1, 0o400)
    assert sorted(path.name for path in data.iterdir()) == ["folder", "key"]


def unpacked(tmp_path: Path) -> Path:
    folder = tmp_path / "unpacked"
    (folder / "zz").mkdir(parents=True)
    (folder / "zz/dag.py").write_text("mine")
    (folder / "sudoers").write_text("mine")
    folder.chmod(0o2770)
    os.chown(folder, 2001, 2001)
    return folder


def test_a_file_is_closed_until_it_is_whole_and_then_on_the_disk(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whose folder it is would open it meanwhile, and read on; and half of a key is none after a power cut."""
    place, seen, synced, chown = data / "key", [], [], os.fchown
    place.write_text("before")

    def fsync(descriptor: int) -> None:
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name.split("-")[-1], place.read_text()))

    def fchown(descriptor: int, uid: int, gid: int) -> None:
        seen.append(os.fstat(descriptor).st_mode & 0o7777)
        chown(descriptor, uid, gid)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "fchown", fchown)
    umask = os.umask(0)
    try:
        inside.put(io.BytesIO(b"after"), place, AIRBYTE, AIRBYTE, 0o6750)
    finally:
        os.umask(umask)
    assert (seen, synced) == ([0o600], [("key", "before"), ("data", "after")])
    found = place.stat()
    assert (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (AIRBYTE, AIRBYTE, 0o6750)


@pytest.mark.parametrize("name", ["zz", "sudoers"])
def test_files_go_through_no_link_that_appears_while_they_are_put_back(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """The link comes between the clearing and the move, which is what somebody who tries often enough hits."""
    folder, modes = unpacked(tmp_path), []
    move = files._move

    def meanwhile(new: Path, there: int) -> None:
        modes.append((data.stat().st_uid, data.stat().st_mode & 0o7777))
        if new.name == name:
            link(data / name, tmp_path / "etc")
        move(new, there)

    monkeypatch.setattr(files, "_move", meanwhile)
    with contextlib.suppress(OSError):
        files.replace(folder, data)
    assert untouched(data)
    assert set(modes) == {(0, 0o700)}, "nobody but root can put one there"


def test_files_come_from_another_disk_too(data: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as other:
        if Path(other).stat().st_dev == data.stat().st_dev:
            pytest.skip("there is one file system only")
        folder = unpacked(Path(other))
        os.chown(folder / "zz/dag.py", 2001, 2002)
        (folder / "link").symlink_to("/etc")
        files.replace(folder, data)
    assert sorted(str(path.relative_to(data)) for path in data.rglob("*")) == [
        "link", "sudoers", "zz", "zz/dag.py",
    ]  # fmt: skip
    assert ((data / "zz/dag.py").stat().st_uid, (data / "zz/dag.py").stat().st_gid) == (2001, 2002)
    assert (data / "link").readlink() == Path("/etc")
    assert (data.stat().st_uid, data.stat().st_mode & 0o7777) == (2001, 0o2770)


def test_a_folder_of_files_that_is_a_link_is_refused(data: Path, tmp_path: Path) -> None:
    link(data / "dags", tmp_path / "etc")
    with pytest.raises(FileProblem) as problem:
        files.replace(unpacked(tmp_path), data / "dags")
    assert str(problem.value) == f"{data}/dags: {LINK}"
    assert untouched(data)


@pytest.mark.parametrize("kind", ["link", "fifo", "nothing"])
def test_what_stands_for_airbytes_records_is_not_read_as_root(data: Path, tmp_path: Path, kind: str) -> None:
    state = data / "state.sqlite"
    if kind == "link":
        link(state, tmp_path / "etc/shadow")
    if kind == "fifo":
        os.mkfifo(state)
    with pytest.raises(Refused) as refused:
        databases.copy_airbyte(tmp_path / "copy", state)
    assert str(refused.value) == f"{state} is no plain file: Airbyte's records cannot be copied"
