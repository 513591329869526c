"""What becomes of somebody who leaves: keys, processes, files, and the home in an archive for root alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
from hangar_people import described, facts, keys, leaving, ledger
from hangar_people.described import Refused

from tests.ansible.staff import ANA
from tests.ansible.staff import own_folders as own_folders


def test_a_key_goes_from_the_operators_account_too_but_never_its_last() -> None:
    (facts.KEYS / "ada").write_text("# h\nssh-ed25519 AAAAada ada\nssh-ed25519 AAAAtwo\n")
    (facts.KEYS / "hangar").write_text(
        '# h\nssh-ed25519 AAAAops ops\nexpiry-time="20270101Z" ssh-ed25519 AAAAada x\n'
    )
    (facts.KEYS / "last").write_text("ssh-ed25519 AAAAtwo\n")
    keys.take("ada")
    assert not (facts.KEYS / "ada").exists()
    assert (facts.KEYS / "hangar").read_text() == "# h\nssh-ed25519 AAAAops ops\n"
    assert (facts.KEYS / "last").read_text() == "ssh-ed25519 AAAAtwo\n"
    keys.take("ada")  # once more does no harm


@pytest.fixture
def own_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "homes").mkdir()
    monkeypatch.setattr(ledger, "HOMES", tmp_path / "homes")
    return ledger.HOMES


def test_a_home_is_archived_for_root_alone_and_links_are_not_followed(
    tmp_path: Path, own_homes: Path
) -> None:
    (own_homes / "ana").mkdir()
    (own_homes / "ana/work.txt").write_text("work")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (own_homes / "ana/link").symlink_to(outside)
    leaving.archive("ana")
    (archive,) = leaving.ARCHIVE.iterdir()
    assert archive.name == f"ana-{described.today():%Y%m%d}.tar"
    assert archive.stat().st_mode & 0o777 == 0o600
    assert leaving.ARCHIVE.stat().st_mode & 0o777 == 0o700
    with tarfile.open(archive) as packed:
        assert sorted(packed.getnames()) == ["ana", "ana/link", "ana/work.txt"]
    assert list(own_homes.iterdir()) == []
    assert (outside / "kept").read_text() == "kept"


def test_a_second_archive_of_a_day_replaces_nothing(own_homes: Path) -> None:
    for _ in range(2):
        (own_homes / "ana").mkdir()
        leaving.archive("ana")
    day = f"{described.today():%Y%m%d}"
    assert sorted(path.name for path in leaving.ARCHIVE.iterdir()) == [f"ana-{day}-2.tar", f"ana-{day}.tar"]


def test_what_a_home_has_tar_complain_of_is_not_kept_in_memory(
    own_homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line for each socket, with its whole path: a leaver may have left any number of them"""
    (own_homes / "ana").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("tar", "rm"):
        (tools / name).write_text(
            "#!/bin/sh\nhead -c 100000000 /dev/zero | tr '\\0' x >&2\necho '\nno room' >&2\nexit 2\n"
        )
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match=r"cannot be archived: no room\. Make room"):
            leaving.archive("ana")
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_a_home_that_cannot_be_archived_stays(
    own_homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_homes / "ana").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 2\n")
    (tools / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    with pytest.raises(Refused) as refused:
        leaving.archive("ana")
    assert str(refused.value) == (
        f"ana is out, but the home {own_homes}/ana cannot be archived: No space left on device. "
        "Make room, then run again"
    )
    assert (own_homes / "ana").is_dir()
    assert list(leaving.ARCHIVE.iterdir()) == []


def test_whoever_leaves_stands_in_the_description_no_more(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    people = [{"name": name, "role": "viewer", "keys": ["k"], "expires": ""} for name in ("ana", "vic")]
    path.write_text(json.dumps({"people": people, "others": ["hangar"]}))
    path.chmod(0o600)
    described.forget("ana", path)
    assert [one["name"] for one in described.read(path)["people"]] == ["vic"]
    assert list(described.load(path).people) == ["vic"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_slice_that_goes_while_we_end_it_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "_members", lambda group: {1})
    monkeypatch.setattr(facts, "processes", dict)
    assert leaving._end_once(20_001) == {1}  # no such slice here: its cgroup.kill cannot be written


def test_a_shared_folder_at_work_keeps_nobody_from_being_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "find").write_text("#!/bin/sh\necho 'No such file or directory' >&2\nexit 1\n")
    (tools / "find").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setattr(leaving, "SHARED", (tmp_path,))
    monkeypatch.setattr(leaving, "SPOOLS", ())
    monkeypatch.setattr(leaving, "AT_JOBS", tmp_path / "none")
    leaving.PASSWORDS.mkdir()
    leaving.clear("ana", 20_001)


LEFT = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
os.setgid(20_001), os.setuid(20_001)
made = libc.shmget(0, 4096, 0o1600), libc.semget(0, 1, 0o1600), libc.msgget(0, 0o1600)
assert min(made) >= 0, os.strerror(ctypes.get_errno())
"""
"""What System V keeps for somebody after the last of their processes."""


def owners() -> set[str]:
    """Whose something of System V is, by number."""
    found = set()
    for kind in ("shm", "sem", "msg"):
        head, *rows = [line.split() for line in Path("/proc/sysvipc", kind).read_text().splitlines()]
        found |= {row[head.index("uid")] for row in rows}
    return found


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")
def test_nothing_that_would_run_or_be_read_later_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs, mail, sudo's time stamps, the first password, and what stands in everybody's folders and in memory; what
    others have put there stays
    """
    crontabs, stamps, jobs, scratch = (tmp_path / name for name in ("crontabs", "ts", "atjobs", "tmp"))
    theirs = [
        crontabs / "ana", stamps / "20001", jobs / "a00001", scratch / "ana.sock", scratch / "ana" / "deep" / "x",
        scratch / "shared" / "ana.txt",
    ]  # fmt: skip
    others = [
        crontabs / "ben",
        stamps / "20002",
        jobs / "a00002",
        scratch / "ben.sock",
        scratch / "shared" / "ben.txt",
    ]
    for path in [*theirs, *others]:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.chown(path, 20_001 if path in theirs else 20_002, 20_001)
    for folder in (scratch / "ana", scratch / "ana" / "deep", scratch / "shared"):
        os.chown(folder, 20_001, 20_001)
    leaving.PASSWORDS.mkdir()
    for name in ("ana", "ben"):
        (leaving.PASSWORDS / name).write_text("secret")
    monkeypatch.setattr(leaving, "SPOOLS", (crontabs, stamps))
    monkeypatch.setattr(leaving, "AT_JOBS", jobs)
    monkeypatch.setattr(leaving, "SCRATCH", (str(scratch), str(tmp_path / "not there")))
    monkeypatch.setattr(leaving, "SHARED", ())
    subprocess.run([sys.executable, "-c", LEFT], check=True)
    assert "20001" in owners()
    leaving.clear("ana", 20_001)
    left = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*others, leaving.PASSWORDS / "ben"}
    assert not (scratch / "ana").exists()
    assert "20001" not in owners()
    leaving.clear("ana", 20_001)  # once more does no harm


def test_everybodys_folders_are_searched_for_what_is_theirs() -> None:
    places = {"/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock"}
    assert places <= set(leaving.SCRATCH)


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")
def test_what_whoever_leaves_wrote_last_is_shared_before_it_is_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but root could read it, and the service that shares touches files of the group's members alone"""
    shared, drop = tmp_path / "dags", tmp_path / "drop"
    sharing, seen = tmp_path / "airflow-live", tmp_path / "seen"
    for path, owner in (
        (shared / "last.py", 20_001),
        (drop / "in" / "late.zip", 20_001),
        (drop / "bens.zip", 20_002),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.chown(path, owner, 20_001)
    sharing.write_text(f"#!/bin/sh\necho $* $(stat -c %u {shared}/last.py) > {seen}\n")
    sharing.chmod(0o755)
    monkeypatch.setattr(leaving, "SHARED", (shared, drop, tmp_path / "not there"))
    monkeypatch.setattr(leaving, "SHARING", sharing)
    monkeypatch.setattr(leaving, "SPOOLS", ())
    monkeypatch.setattr(leaving, "SCRATCH", ())
    monkeypatch.setattr(leaving, "AT_JOBS", tmp_path / "none")
    leaving.PASSWORDS.mkdir()
    leaving.clear("ana", 20_001)
    assert seen.read_text() == "of 20001 20001\n", "while the files are theirs still"
    assert (shared / "last.py").stat().st_uid == 0
    assert [(drop / name).stat().st_uid for name in ("in/late.zip", "bens.zip")] == [0, 20_002]


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")
def test_whoever_may_write_dags_no_more_keeps_no_way_to_it(
    tmp_path: Path, own_homes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another name of a file, or by a program that lends the group; before the groups, and after what ran"""
    shared, home, group = tmp_path / "dags", own_homes / "ana", 20_101
    shared.mkdir()
    home.mkdir()
    done: list[str] = []

    def makes(name: str) -> None:
        """What they do as long as they can."""
        (shared / name).write_text("x")
        os.link(shared / name, home / name)
        (home / f"lends-{name}").write_text("x")
        for path in (shared / name, home / f"lends-{name}"):
            os.chown(path, 20_001, group)
        (home / f"lends-{name}").chmod(0o2755)

    def groups(person: described.Person) -> None:
        done.append("groups")
        assert (home / "first.py").stat().st_uid == 0
        makes("last.py")

    (own_homes / "strange").mkdir()
    (own_homes / "strange/lends").write_text("x")
    os.chown(own_homes / "strange/lends", 20_002, group)
    (own_homes / "strange/lends").chmod(0o2755)
    monkeypatch.setattr(leaving, "SHARED", (shared,))
    monkeypatch.setattr(leaving, "SHARING", tmp_path / "none")
    monkeypatch.setattr(leaving, "SCRATCH", (str(own_homes / "strange"),))
    monkeypatch.setattr(leaving.accounts, "set_groups", groups)
    monkeypatch.setattr(leaving, "end", lambda name, uid: done.append("ended"))
    makes("first.py")
    leaving.withdraw(replace(ANA, role="viewer"), 20_001)
    assert done == ["groups", "ended"]
    for name in ("first.py", "last.py"):
        assert (home / name).stat().st_uid == 0
        lends = (home / f"lends-{name}").stat()
        assert (lends.st_uid, lends.st_gid, lends.st_mode & 0o7777) == (20_001, 20_001, 0o755)
    assert (own_homes / "strange/lends").stat().st_mode & 0o7777 == 0o2755


def test_two_who_leave_at_once_are_both_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.json"
    people = [
        {"name": name, "role": "viewer", "keys": ["k"], "expires": ""} for name in ("ana", "vic", "zoe")
    ]
    path.write_text(json.dumps({"people": people, "others": []}))
    second = threading.Thread(target=described.forget, args=("vic", path))
    reading = described.read

    def slow(place: Path) -> dict[str, object]:
        found = reading(place)
        if threading.current_thread() is not second:
            second.start()
            second.join(0.3)  # it would be through by now, were it not for the lock
        return found

    monkeypatch.setattr(described, "read", slow)
    described.forget("ana", path)
    second.join()
    assert [one["name"] for one in reading(path)["people"]] == ["zoe"]
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".new")] == []


def test_two_may_write_the_same_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, syncing = tmp_path / "hangar", os.fsync

    def second(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", syncing)
        described.write(path, "second", 0o600)

    monkeypatch.setattr(os, "fsync", second)
    described.write(path, "first", 0o600)
    assert path.read_text() == "first"
    assert list(tmp_path.glob(".hangar*")) == []
