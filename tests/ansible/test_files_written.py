"""What root writes: closed before it holds anything, whole after a power cut, and where it was meant to be."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import hangar_files as files
import pytest
import secret_files

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")
ME, MINE = os.geteuid(), os.getegid()


def file(mode: int, content: bytes = b"content", uid: int = ME, gid: int = MINE) -> files.State:
    return files.State("file", uid, gid, mode, content)


def test_a_file_is_on_the_disk_before_it_has_its_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, synced = tmp_path / "file", []
    place.write_bytes(b"before")

    def fsync(descriptor: int) -> None:
        is_folder = stat.S_ISDIR(os.fstat(descriptor).st_mode)
        synced.append(("folder" if is_folder else "file", place.read_bytes()))

    monkeypatch.setattr(os, "fsync", fsync)
    files.stage(str(place), file(0o644, b"after")).commit()
    assert synced == [("file", b"before"), ("folder", b"after")]


@root_only
@pytest.mark.parametrize("mode", [0o4750, 0o2755, 0o640])
def test_a_file_that_is_given_to_another_keeps_all_of_its_rights(tmp_path: Path, mode: int) -> None:
    """The kernel takes setuid and setgid away when a file changes hands."""
    wanted = file(mode, uid=12_345, gid=12_345)
    files.stage(f"{tmp_path}/file", wanted).commit()
    assert files.look(f"{tmp_path}/file") == wanted


def test_nobody_reads_a_file_before_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever opened it meanwhile would read on, whatever its rights are then."""
    seen, chown, umask = [], os.fchown, os.umask(0)
    monkeypatch.setattr(
        os, "fchown", lambda one, *who: (seen.append(stat.S_IMODE(os.fstat(one).st_mode)), chown(one, *who))
    )
    try:
        files.stage(f"{tmp_path}/file", file(0o644)).commit()
    finally:
        os.umask(umask)
    assert seen == [0o600]
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o644


@pytest.mark.parametrize(
    ("mode", "is_followed"), [(0o755, True), (0o1777, True), (0o777, False), (0o775, False)]
)
def test_a_link_is_followed_where_nobody_else_could_have_put_it(
    tmp_path: Path, mode: int, is_followed: bool
) -> None:
    """It is root's own, but whoever may write the folder may move it there from elsewhere."""
    (tmp_path / "there").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "there")
    (tmp_path / "folder").chmod(mode)
    staged = f"{tmp_path}/folder/link/file"
    if is_followed:
        files.stage(staged, file(0o600)).commit()
    else:
        with pytest.raises(files.FileProblem) as refused:
            files.stage(staged, file(0o600))
        assert str(refused.value) == (
            f"{tmp_path}/folder/link: is a symbolic link that root did not make; not followed"
        )
    assert (tmp_path / "there/file").exists() is is_followed


@root_only
@pytest.mark.parametrize("whose", ["folder", "folder/link"])
def test_a_link_of_somebody_elses_is_not_followed(tmp_path: Path, whose: str) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link").symlink_to(tmp_path / "there")
    os.chown(tmp_path / whose, 12_345, 12_345, follow_symlinks=False)
    with pytest.raises(files.FileProblem, match=r"is a symbolic link that root did not make; not followed$"):
        files.set_directory(f"{tmp_path}/folder/link/new", ME, MINE, 0o755)
    assert list((tmp_path / "there").iterdir()) == []


def test_links_that_lead_to_each_other_have_an_end(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(files.FileProblem, match=r"/a: too many symbolic links$"):
        files.open_directory(f"{tmp_path}/a")


def test_what_a_killed_run_left_goes_and_what_another_writes_just_now_stays(tmp_path: Path) -> None:
    (tmp_path / ".hangar-01234567-file").touch()
    other = files.stage(f"{tmp_path}/a-file", file(0o600))
    files.stage(f"{tmp_path}/file", file(0o600)).commit()
    other.commit()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a-file", "file"]


@root_only
def test_somebody_elses_file_is_not_written_over(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_bytes(b"theirs and long enough")
    os.chown(place, 12_345, 12_345)
    with pytest.raises(files.FileProblem, match=r"/file: is not a file of ours alone, and not written over$"):
        files.write_over(str(place), file(0o600))
    assert place.read_bytes() == b"theirs and long enough"
    os.chown(place, ME, MINE)
    files.write_over(str(place), file(0o600))
    assert files.look(str(place)) == file(0o600)


@root_only
@pytest.mark.parametrize("wrong", ["value", "mode", "owner", "group", "link", "folder"])
def test_a_secret_is_right_with_its_value_owner_group_and_rights_alone(tmp_path: Path, wrong: str) -> None:
    group = grp.getgrgid(0).gr_name
    place = tmp_path / "secret"
    secret_files.keep(place, "hunter2", "12345")
    assert not secret_files.is_right(place, "hunter2", group)
    secret_files.keep(place, "hunter2", group)
    found = place.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (0, 0, 0o440)
    assert secret_files.is_right(place, "hunter2", group)
    assert [one.name for one in tmp_path.iterdir()] == ["secret"]
    if wrong == "mode":
        place.chmod(0o444)
    elif wrong in ("owner", "group"):
        os.chown(place, *((12_345, 0) if wrong == "owner" else (0, 12_345)))
        place.chmod(0o440)
    elif wrong == "link":
        place.rename(tmp_path / "elsewhere")
        place.symlink_to(tmp_path / "elsewhere")
    elif wrong == "folder":
        place.unlink()
        place.mkdir()
    assert not secret_files.is_right(place, "another" if wrong == "value" else "hunter2", group)


@root_only
def test_a_secret_is_closed_while_it_is_written_and_there_after_a_power_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, seen, synced = tmp_path / "secret", [], []
    place.write_text("before")
    (tmp_path / ".secret.new").symlink_to(tmp_path / "theirs")
    chown = os.fchown
    monkeypatch.setattr(
        os, "fchown", lambda one, *who: (seen.append(stat.S_IMODE(os.fstat(one).st_mode)), chown(one, *who))
    )
    monkeypatch.setattr(os, "fsync", lambda one: synced.append((os.fstat(one).st_size, place.read_text())))
    secret_files.keep(place, "after", "0")
    assert (seen, synced) == ([0o400], [(5, "before")])
    assert place.read_text() == "after"
    assert not (tmp_path / "theirs").exists()
