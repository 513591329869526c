"""The machine's program `airflow-live`: what it shares, and what it must never touch."""

from __future__ import annotations

import grp
import importlib.machinery
import importlib.util
import os
import struct
from pathlib import Path
from types import ModuleType

import pytest

from tests.ansible.mounts import mounted, needs_fuse

PROGRAM = Path(__file__).resolve().parents[2] / "roles/airflow/templates/usr/local/sbin/airflow-live"
OWNER, STRANGER, GROUP = 20_001, 20_002, 2101
ENTRIES = ((0x01, 7, -1), (0x04, 7, -1), (0x10, 7, -1), (0x20, 0, -1))
ACL = struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in ENTRIES)
"""user::rwx group::rwx mask::rwx other::---, as the kernel keeps it."""

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")


@pytest.fixture
def live() -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("airflow_live", str(PROGRAM))
    spec = importlib.util.spec_from_loader("airflow_live", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def folder(tmp_path: Path, live: ModuleType) -> Path:
    place = tmp_path / "dags"
    place.mkdir()
    try:
        os.setxattr(place, live.DEFAULT, ACL)
    except OSError:
        pytest.skip("the file system has no ACLs")
    return place


def make(path: Path, owner: int = OWNER, mode: int = 0o600) -> Path:
    """A file that comes ready made: with no ACL, of its owner's own group."""
    path.write_text("x")
    os.removexattr(path, "system.posix_acl_access")
    os.chown(path, owner, owner)
    path.chmod(mode)
    return path


def look(live: ModuleType, folder: Path, since: float = 0.0) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    live.look(descriptor, since, live.Rights(ACL, GROUP, frozenset({OWNER})))
    os.close(descriptor)


def rights(path: Path) -> tuple[int, int]:
    return path.stat().st_gid, path.stat().st_mode & 0o7777


@pytest.mark.parametrize(
    ("mode", "wanted"), [(0o600, 0o660), (0o700, 0o770), (0o400, 0o440), (0o644, 0o660), (0o4755, 0o770)]
)
def test_a_file_of_a_member_becomes_the_groups(
    live: ModuleType, folder: Path, mode: int, wanted: int
) -> None:
    path = make(folder / "moved.py", mode=mode)
    look(live, folder)
    assert rights(path) == (GROUP, wanted)
    before = path.stat().st_ctime_ns
    look(live, folder)
    assert path.stat().st_ctime_ns == before


def test_a_folder_that_was_moved_in_is_shared_with_all_that_is_in_it(
    live: ModuleType, folder: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    (tree / "deep").mkdir(parents=True)
    (tree / "deep/file.py").write_text("x")
    for path in (tree, tree / "deep", tree / "deep/file.py"):
        os.chown(path, OWNER, OWNER)
        path.chmod(0o700 if path.is_dir() else 0o600)
    tree.rename(folder / "tree")
    os.utime(folder / "tree")
    look(live, folder, (folder / "tree").stat().st_ctime)
    assert rights(folder / "tree/deep") == (GROUP, 0o2770)
    assert rights(folder / "tree/deep/file.py") == (GROUP, 0o660)
    assert live.DEFAULT in os.listxattr(folder / "tree/deep")


def test_nobody_elses_file_is_touched(live: ModuleType, folder: Path, tmp_path: Path) -> None:
    """Not a stranger's, not root's, not one that has another name elsewhere, and none that a link leads to"""
    left = [make(folder / "stranger", STRANGER), make(folder / "root", 0)]
    outside = tmp_path / "outside"
    outside.write_text("x")
    os.chown(outside, OWNER, OWNER)
    outside.chmod(0o600)
    os.link(outside, folder / "hard")
    (folder / "soft").symlink_to(outside)
    (folder / "up").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    before = [rights(path) for path in (*left, outside, tmp_path)]
    look(live, folder)
    assert [rights(path) for path in (*left, outside, tmp_path)] == before


def test_whoever_has_just_left_the_group_leaves_nothing_closed_behind(
    live: ModuleType, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`of UID`: theirs alone, and the program ends"""
    last, strange = make(folder / "last.py"), make(folder / "strange.py", STRANGER)
    nobody = grp.struct_group(("dags", "x", GROUP, []))
    monkeypatch.setattr(live.grp, "getgrnam", lambda name: nobody)
    monkeypatch.setattr(live, "FOLDER", str(folder))
    for words, wanted in ((["once"], 0o600), (["of", str(OWNER)], 0o660)):
        monkeypatch.setattr(live.sys, "argv", ["airflow-live", *words])
        live.main()
        assert last.stat().st_mode & 0o777 == wanted
    assert rights(last) == (GROUP, 0o660)
    assert rights(strange) == (STRANGER, 0o600)


def acl_for(uid: int) -> bytes:
    """The same, and everything for one account by its number."""
    entries = (ENTRIES[0], (0x02, 7, uid), *ENTRIES[1:])
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *entry) for entry in entries)


def test_whoever_has_just_left_the_group_keeps_no_way_to_what_is_shared(
    live: ModuleType, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by another name of a file in their home, not by what they opened to everybody, and not by an ACL of theirs,
    also where a colleague's file has it from a folder of theirs; what nobody gave them stays as it is
    """
    kept, closed = make(folder / "kept.py", mode=0o666), make(folder / "closed.py")
    for path in (kept, closed):
        os.link(path, tmp_path / path.name)
    os.setxattr(kept, live.ACCESS, acl_for(OWNER))
    handed = folder / "handed"
    handed.mkdir()
    os.setxattr(handed, live.DEFAULT, acl_for(OWNER))
    os.setxattr(handed, live.ACCESS, acl_for(OWNER))
    os.chown(handed, OWNER, GROUP)
    colleagues = handed / "colleagues.py"
    colleagues.write_text("x")
    os.chown(colleagues, STRANGER, GROUP)
    assert live.names(os.open(colleagues, os.O_RDONLY), OWNER)
    strange = make(folder / "strange.py", STRANGER)
    nobody = grp.struct_group(("dags", "x", GROUP, []))
    monkeypatch.setattr(live.grp, "getgrnam", lambda name: nobody)
    monkeypatch.setattr(live, "FOLDER", str(folder))
    monkeypatch.setattr(live.sys, "argv", ["airflow-live", "of", str(OWNER)])
    live.main()
    for path in (kept, closed, colleagues):
        group, mode = rights(path)
        assert (group, mode & 0o667) == (GROUP, 0o660)
        assert not live.names(os.open(path, os.O_RDONLY), OWNER)
    assert rights(handed) == (GROUP, 0o2770)
    assert os.getxattr(handed, live.DEFAULT) == ACL
    assert rights(strange) == (STRANGER, 0o600)


@needs_fuse
@pytest.mark.parametrize("runs", [True, False])
def test_what_somebody_mounts_in_the_folder_keeps_nothing_else_from_being_shared(
    live: ModuleType, folder: Path, runs: bool
) -> None:
    """Root can look at it as little as everybody else"""
    for name in ("a", "z", "mal", "inner", "inner/mal"):
        (folder / name).mkdir()
    paths = [make(folder / name) for name in ("first.py", "zlast.py", "a/one.py", "z/one.py", "inner/one.py")]
    with mounted(folder / "mal") as top, mounted(folder / "inner/mal"):
        if not runs:
            top.close()
        look(live, folder)
        assert [rights(path) for path in paths] == [(GROUP, 0o660)] * len(paths)
