"""What a backup does with files: whether they changed, how they are packed and sealed, what comes out again."""

from __future__ import annotations

import io
import os
import sqlite3
import subprocess
import tarfile
from pathlib import Path

import pytest
from hangar_backup import databases, files, sealing
from hangar_backup.described import Refused

from tests.ansible.backups import FIRST


def test_a_fingerprint_notices_what_people_do(tmp_path: Path) -> None:
    (tmp_path / "dag.py").write_text("1")
    os.utime(tmp_path / "dag.py", ns=(1, 1))
    seen = [files.fingerprint([tmp_path])]
    for change in (
        lambda: (tmp_path / "dag.py").write_text("2"), lambda: (tmp_path / "dag.py").chmod(0o600),
        lambda: (tmp_path / "new").mkdir(), lambda: (tmp_path / "link").symlink_to("dag.py"),
        lambda: (tmp_path / "dag.py").unlink(),
    ):  # fmt: skip
        assert files.fingerprint([tmp_path]) == seen[-1]
        change()
        seen.append(files.fingerprint([tmp_path]))
    assert len(set(seen)) == 6


@pytest.mark.skipif(os.geteuid() != 0, reason="gives files to others")
def test_a_fingerprint_notices_whose_a_file_is(tmp_path: Path) -> None:
    """Else it would be put back as its earlier owner's."""
    (tmp_path / "dag.py").touch()
    seen = []
    for owner in ((0, 0), (2001, 0), (2001, 2001)):
        os.chown(tmp_path / "dag.py", *owner)
        seen.append(files.fingerprint([tmp_path]))
    assert len(set(seen)) == 3


def test_files_come_back_with_rights_and_links_into_the_folder_that_is_mounted(tmp_path: Path) -> None:
    root = tmp_path / "srv"
    released = root / "airflow/released"
    (released / "00001-0123abcd").mkdir(parents=True)
    (released / "00001-0123abcd/dag.py").write_text("old")
    (released / "00001-0123abcd/dag.py").chmod(0o640)
    (released / "current").symlink_to("00001-0123abcd")
    shared = root / "airflow/dags/ana"
    shared.mkdir(parents=True)
    shared.chmod(0o2770)
    files.pack([released, root / "absent", shared.parent], tmp_path / "files", root=root)
    assert files.count(tmp_path / "files") == 6
    (released / "00001-0123abcd/dag.py").write_text("new")
    (released / "00002-0123abcd").mkdir()
    mounted = released.stat().st_ino
    files.unpack(tmp_path / "files", tmp_path / "unpacked")
    files.replace(tmp_path / "unpacked/airflow/released", released)
    assert released.stat().st_ino == mounted
    assert sorted(path.name for path in released.iterdir()) == ["00001-0123abcd", "current"]
    assert (released / "current/dag.py").read_text() == "old"
    assert (released / "current/dag.py").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "unpacked/airflow/dags/ana").stat().st_mode & 0o7777 == 0o2770


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_an_archive_that_leads_out_of_its_folder_is_refused(tmp_path: Path, name: str) -> None:
    with tarfile.open(tmp_path / "files", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    with pytest.raises(Refused, match="files cannot be unpacked: "):
        files.unpack(tmp_path / "files", tmp_path / "unpacked")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    ("kind", "leads"),
    [
        (tarfile.LNKTYPE, "../../etc/shadow"), (tarfile.LNKTYPE, "/etc/shadow"), (tarfile.CHRTYPE, ""),
        (tarfile.BLKTYPE, ""), (tarfile.FIFOTYPE, ""),
    ],
)  # fmt: skip
def test_an_archive_brings_no_device_and_no_second_name_of_a_file_outside(
    tmp_path: Path, kind: bytes, leads: str
) -> None:
    """Root unpacks it, and gives what came to a service: the machine's disk, or its passwords."""
    member = tarfile.TarInfo("airflow/dags/one")
    member.type, member.linkname = kind, leads
    with tarfile.open(tmp_path / "files", "w:gz") as tar:
        tar.addfile(member)
    with pytest.raises(Refused) as refused:
        files.unpack(tmp_path / "files", tmp_path / "unpacked")
    assert str(refused.value) == "files cannot be unpacked: airflow/dags/one does not belong there"
    assert list((tmp_path / "unpacked").iterdir()) == []


def test_a_damaged_archive_is_found_before_it_is_encrypted(tmp_path: Path) -> None:
    (tmp_path / "dag.py").write_bytes(os.urandom(9000))
    files.pack([tmp_path / "dag.py"], tmp_path / "files", root=tmp_path)
    whole = (tmp_path / "files").read_bytes()
    (tmp_path / "files").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(Refused, match="files is damaged: "):
        files.count(tmp_path / "files")


def test_airbytes_records_are_copied_while_they_are_written(tmp_path: Path) -> None:
    """What is in the log of changes only, as after every commit, is in the copy; what is not committed is not."""
    live = sqlite3.connect(tmp_path / "state.sqlite", isolation_level=None)
    live.executescript("pragma journal_mode = wal; create table jobs (id); insert into jobs values (1)")
    live.execute("begin")
    live.execute("insert into jobs values (2)")
    databases.copy_airbyte(tmp_path / "copy", tmp_path / "state.sqlite")
    copy = sqlite3.connect(f"file:{tmp_path}/copy?immutable=1", uri=True)
    assert copy.execute("select id from jobs").fetchall() == [(1,)]
    live.execute("commit")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "copy", "state.sqlite", "state.sqlite-shm", "state.sqlite-wal",
    ]  # fmt: skip


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A key as the controller makes it, its public half where the machine has it."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    monkeypatch.setattr(sealing, "RECIPIENTS", tmp_path / "key.pub")
    return tmp_path / "key"


def test_what_is_sealed_opens_with_the_operators_key_alone(tmp_path: Path, key: Path) -> None:
    (tmp_path / "plain").write_text("the Fernet key")
    (tmp_path / "spool").mkdir()
    made = sealing.seal(tmp_path / "plain", "secrets", FIRST, tmp_path / "spool", 3)
    place = tmp_path / "spool" / made.object
    assert (made.part, made.bytes, made.made, made.tables) == ("secrets", place.stat().st_size, FIRST, 3)
    assert made.sha256 == sealing.digest(place)
    assert b"Fernet" not in place.read_bytes()
    opened = subprocess.run(["age", "-d", "-i", str(key), str(place)], capture_output=True, check=True)
    assert opened.stdout == b"the Fernet key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    assert (
        subprocess.run(
            ["age", "-d", "-i", str(tmp_path / "other"), str(place)], capture_output=True
        ).returncode
        != 0
    )


def test_what_is_sealed_is_on_the_disk_before_it_has_its_name(
    tmp_path: Path, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each later backup refers to it by that name."""
    (tmp_path / "plain").write_text("the Fernet key")
    synced: list[tuple[str, bool]] = []

    def fsync(descriptor: int) -> None:
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        synced.append((name, os.fstat(descriptor).st_size > 0))

    monkeypatch.setattr(os, "fsync", fsync)
    made = sealing.seal(tmp_path / "plain", "secrets", FIRST, tmp_path)
    assert synced == [(f".{made.object}.new", True)]
    assert (tmp_path / made.object).is_file()


def test_without_a_public_key_nothing_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "RECIPIENTS", tmp_path / "none")
    with pytest.raises(Refused) as refused:
        sealing.seal(tmp_path / "plain", "secrets", FIRST, tmp_path)
    assert str(refused.value) == "There is no public key to encrypt to; ./provision.py up puts one here"
