"""The machine's program `backup`: what it copies again, what it lists, how it puts files back, and what it refuses."""

from __future__ import annotations

import functools
import io
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hangar_backup import (
    databases,
    files,
    keys_and_people,
    making,
    program,
    putting_back,
    records,
    sealing,
    sending,
    spool,
    state,
)
from hangar_backup.described import Bucket, Described, Host, Refused
from hangar_backup.parts import Part
from hangar_backup.records import Backup, Sealed

ROLES = Path(__file__).resolve().parents[2] / "roles"

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"
HOST = Host("vault.example.org", 22, "hangar-drop", "/drop")
DESCRIBED = Described(
    machine="hangar-local", airflow=True, airbyte=True, warehouse=True, warehouse_port=5432, postgres="17",
    packages=("age",), folders=(), recipients=("age1new",), recipients_are_chosen=False, kept=2, full_days=7,
    max_age_hours=36, sftp=None, gcs=None,
)  # fmt: skip


def sealed(part: str, made: str, size: int = 3) -> Sealed:
    return Sealed(part, f"{part}-{made}.age", size, "0" * 64, made)


def backup(identifier: str, *parts: Sealed) -> Backup:
    return Backup(identifier, "hangar-local", "2026-11-01T03:15:09+00:00", 9.0, parts)


def lay(folder: Path, *backups: Backup) -> None:
    """Indexes and objects as a run leaves them."""
    for one in backups:
        records.write(one, folder)
        for part in one.parts:
            (folder / part.object).write_bytes(b"x" * part.bytes)


def test_an_index_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = replace(
        backup(FIRST, sealed("files", FIRST)), numbers={"airflow": 2001}, roles=("dbt",), new=("files",)
    )
    assert records.read(records.write(written, tmp_path)) == written
    assert [path.name for path in tmp_path.iterdir()] == [f"{FIRST}.json"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', '{"parts": [{"part": "files"}]}'])
def test_a_torn_index_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    assert records.read(tmp_path / "a.json") is None


def test_only_whole_backups_are_listed_the_newest_first(tmp_path: Path) -> None:
    lay(tmp_path, backup(FIRST, sealed("files", FIRST)), backup(SECOND, sealed("files", SECOND)))
    assert [one.id for one in spool.backups(tmp_path)] == [SECOND, FIRST]
    (tmp_path / f"files-{SECOND}.age").write_bytes(b"x")
    assert [one.id for one in spool.backups(tmp_path)] == [FIRST]
    (tmp_path / f"files-{FIRST}.age").unlink()
    assert spool.backups(tmp_path) == []


def test_what_a_kept_backup_refers_to_stays_and_a_killed_runs_rest_goes(tmp_path: Path) -> None:
    shared = sealed("warehouse", FIRST)
    lay(
        tmp_path,
        backup(FIRST, shared, sealed("airflow", FIRST)),
        backup(SECOND, shared, sealed("airflow", SECOND)),
    )
    (tmp_path / ".files-20261103T031500Z.age.new").touch()
    (tmp_path / "files-20261103T031500Z.age").touch()
    spool.prune(1, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{SECOND}.json", f"airflow-{SECOND}.age", f"warehouse-{FIRST}.age",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "name", ["../secrets/id_ed25519", "state.json", ".files.new", f"{FIRST}.json/..", "files.age"]
)
def test_nothing_but_indexes_and_objects_is_handed_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "state.json").touch()
    assert spool.place_of(name, tmp_path) is None


def maker(known: list[Backup], prints: dict[str, list[str]], **changes: Any) -> making.Maker:
    before = state.State(prints=prints, delivered=changes.pop("delivered", []))
    return making.Maker(replace(DESCRIBED, **changes), SECOND, known, before)


def part(fingerprint: str) -> Part:
    def make(place: Path) -> None:
        raise AssertionError("it is copied")

    return Part("files", "DAGs", lambda: fingerprint, make)


def test_an_unchanged_part_is_referred_to() -> None:
    old = sealed("files", FIRST)
    found = maker([backup(FIRST, old)], {"files": ["same", old.object]})
    assert found.ensure(part("same")) == old
    assert found.prints == {"files": ["same", old.object]}


@pytest.mark.parametrize(
    ("fingerprint", "prints", "changes"),
    [
        ("other", {"files": ["same", f"files-{FIRST}.age"]}, {}),
        ("", {"files": ["", f"files-{FIRST}.age"]}, {}),
        ("same", {}, {}),
        ("same", {"files": ["same", "files-20200101T000000Z.age"]}, {}),
        ("same", {"files": ["same", f"files-{FIRST}.age"]}, {"full_days": 0}),
        ("same", {"files": ["same", f"files-{FIRST}.age"]}, {"sftp": HOST}),
        ("same", {"files": ["same", f"files-{FIRST}.age"]}, {"gcs": Bucket("acme-backups", "")}),
    ],
    ids=[
        "changed",
        "cannot tell",
        "not remembered",
        "no longer there",
        "too old",
        "not at the host",
        "not in it",
    ],
)
def test_anything_else_is_copied_again(
    fingerprint: str, prints: dict[str, list[str]], changes: dict[str, Any]
) -> None:
    found = maker([backup(FIRST, sealed("files", FIRST))], prints, **changes)
    with pytest.raises(AssertionError, match="it is copied"):
        found.ensure(part(fingerprint))


def failing(name: str, words: str) -> Part:
    def make(place: Path) -> None:
        place.write_text("half")
        raise Refused(f"Dumping {name} failed: canceling statement due to lock timeout")

    return Part(name, words, lambda: "", make)


def whole(name: str) -> Part:
    return Part(name, name, lambda: "", lambda place: files.pack([ROLES / "backup/defaults"], place, ROLES))


@pytest.fixture
def sealing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A seal that every key opens, and a folder to work in."""
    monkeypatch.setattr(making, "WORK", tmp_path)
    monkeypatch.setattr(making, "seal", lambda plain, name, made, spool, tables: sealed(name, made))
    return tmp_path


def test_a_part_that_fails_keeps_no_other_from_being_made(sealing_here: Path) -> None:
    """What anybody can hold up (a lock in a database) is not all that there is."""
    found = maker([], {})
    parts = found.all_of([whole("secrets"), failing("airflow", "Airflow's database"), whole("files")])
    assert [(one.part, one.made) for one in parts] == [("secrets", SECOND), ("files", SECOND)]
    assert found.failed == [
        "Airflow's database: Dumping airflow failed: canceling statement due to lock timeout. "
        f"{SECOND} is without it"
    ]
    assert list(sealing_here.iterdir()) == [], "no plain copy is left"


def test_the_last_good_copy_stands_for_a_part_that_fails(sealing_here: Path) -> None:
    old = sealed("airflow", FIRST)
    found = maker([backup(FIRST, old)], {"airflow": ["", old.object]})
    assert old in found.all_of([whole("secrets"), failing("airflow", "Airflow's database")])
    assert found.failed[0].endswith(f". {SECOND} has the copy of {FIRST}")
    assert found.prints["airflow"] == ["", old.object], "and the next time too"
    found = maker([backup(FIRST, old)], {"airflow": ["", old.object]}, full_days=0)
    assert old not in found.all_of([whole("secrets"), failing("airflow", "Airflow's database")])
    assert found.failed[0].endswith(f". {SECOND} is without it"), "too old to be referred to"


def test_a_backup_that_lacks_a_part_is_there_and_failed(
    remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(SECOND, sealed("secrets", SECOND))
    monkeypatch.setattr(
        making, "_make", lambda described: (made, ["Airflow's database: locked", "files: full"])
    )
    state.remember(good=5.0, last=FIRST)
    with pytest.raises(Refused) as refused:
        making.make(DESCRIBED)
    assert str(refused.value) == "Airflow's database: locked; files: full"
    found = state.read()
    assert (found.good, found.last, found.problem) == (5.0, FIRST, str(refused.value))
    monkeypatch.setattr(making, "_make", lambda described: (made, []))
    making.make(DESCRIBED)
    assert (state.read().last, state.read().problem) == (SECOND, "")


def test_a_backup_that_is_ended_says_so(remembered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's patience is at its end: the alert tells, and nothing plain is left."""

    def hang(described: Described) -> Any:
        making.WORK.mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(making, "_make", hang)
    monkeypatch.setattr(program, "load", lambda: DESCRIBED)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(Refused) as ended:
            program._run(["now"], None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert state.read().problem == str(ended.value)
    assert str(ended.value) == (
        "The backup was ended before it was whole: it took too long, or somebody stopped it"
    )
    assert not making.WORK.exists()


def test_a_warehouse_that_does_not_answer_keeps_no_other_part_from_being_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def silent(described: Described, sql: str) -> str:
        raise Refused("Asking the warehouse failed: connection refused")

    monkeypatch.setattr(databases, "ask_warehouse", silent)
    assert making._roles(DESCRIBED, []) == ()
    assert making._roles(DESCRIBED, [replace(backup(FIRST), roles=("dbt",))]) == ("dbt",)
    assert making._roles(replace(DESCRIBED, warehouse=False), []) == ()


def test_an_end_is_no_parts_failure(sealing_here: Path) -> None:
    def make(place: Path) -> None:
        raise making.Ended("it is over")

    with pytest.raises(making.Ended):
        maker([], {}).all_of([Part("airflow", "Airflow", lambda: "", make), part("never")])


@pytest.mark.parametrize("dump", ["airflow", "warehouse"])
def test_a_lock_is_waited_for_no_longer_than_a_minute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dump: str
) -> None:
    asked: list[tuple[list[str], float]] = []
    monkeypatch.setattr(
        databases, "run", lambda argv, what, timeout, **other: asked.append((list(argv), timeout))
    )
    if dump == "airflow":
        databases.dump_airflow(tmp_path / "dump")
    else:
        databases.dump_warehouse(DESCRIBED, tmp_path / "dump")
    words, seconds = asked[0]
    assert "--lock-wait-timeout=60s" in words
    assert seconds == 4 * 3600


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


def test_without_a_public_key_nothing_is_sealed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "RECIPIENTS", tmp_path / "none")
    with pytest.raises(Refused) as refused:
        sealing.seal(tmp_path / "plain", "secrets", FIRST, tmp_path)
    assert str(refused.value) == "There is no public key to encrypt to; ./provision.py up puts one here"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @ Host key verification failed.",
            "its key has changed",
        ),
        ("Host key verification failed.", "its key is not the one that platform.yml names"),
        ("drop@vault: Permission denied (publickey).", "it does not let this machine in"),
        ('dest open "/drop/a.age": Permission denied', "it lets nothing be written into the folder"),
        ('write remote "/drop/a.age": Failure', "it takes no more data; it may be full"),
        ("ssh: connect to host vault port 22: Connection refused", "nothing answers there"),
        ("ssh: connect to host vault port 22: Connection timed out", "it does not answer"),
        ("something new", "something new"),
    ],
)
def test_a_transfer_that_fails_says_why(said: str, told: str) -> None:
    assert sending.reason(said).startswith(told)


def test_a_transfer_that_takes_too_long_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending, "argv", lambda host: ["sleep", "60"])
    monkeypatch.setattr(sending, "HOURS", 0.2 / 3600)
    with pytest.raises(Refused, match=r"vault\.example\.org: it took more than \S+ hours; the way is slow"):
        sending.send(HOST, ["files-1.age"])


def test_the_client_asks_nothing_and_knows_one_host() -> None:
    words = " ".join(sending.argv(replace(HOST, port=2222)))
    for option in ("BatchMode=yes", "StrictHostKeyChecking=yes", "GlobalKnownHostsFile=/dev/null", "-P 2222"):
        assert option in words
    assert words.endswith("hangar-drop@vault.example.org")


def test_the_index_is_sent_last(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(sending, "run", lambda argv, what, text, timeout: said.append(text))
    sending.send(HOST, ["files-1.age", f"{FIRST}.json"], Path("/spool"))
    assert said == [
        f'put "/spool/files-1.age" "/drop/files-1.age"\nput "/spool/{FIRST}.json" "/drop/{FIRST}.json"\n'
    ]


def test_figures_tell_the_age_and_why_the_last_attempt_failed(tmp_path: Path) -> None:
    found = state.State(good=1764040500.4, problem='The backup was not sent to v: it is "full"')
    state.tell(DESCRIBED, found, tmp_path)
    assert (tmp_path / "backup.prom").read_text() == (
        "hangar_backup_max_age_seconds 129600\n"
        "hangar_backup_failed{why=\"The backup was not sent to v: it is 'full'\"} 1\n"
        "hangar_backup_last_success_timestamp_seconds 1764040500\n"
    )
    state.tell(DESCRIBED, found, tmp_path / "absent")


def test_where_there_never_was_a_backup_the_figures_tell_since_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not told cannot grow old; the first moment stays whatever fails afterwards."""
    monkeypatch.setattr(state, "read", functools.partial(state.read, tmp_path / "state.json"))
    monkeypatch.setattr(state, "write", functools.partial(state.write, path=tmp_path / "state.json"))
    monkeypatch.setattr(state, "now", lambda: 1764040500.4)
    state.remember()
    monkeypatch.setattr(state, "now", lambda: 1764999999.0)
    state.tell(DESCRIBED, state.remember(problem="it does not answer"), tmp_path)
    told = (tmp_path / "backup.prom").read_text()
    assert "hangar_backup_since_timestamp_seconds 1764040500\n" in told
    assert "last_success" not in told


def test_a_state_that_is_torn_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"good": ')
    assert state.read(tmp_path / "state.json") == state.State()


def test_a_failed_run_keeps_the_last_good_one_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "WORK", "SPOOL"):
        monkeypatch.setattr(making, name, tmp_path / name.lower().replace("home", ""))
    monkeypatch.setattr(state, "write", lambda found: kept.append(found))
    monkeypatch.setattr(state, "read", lambda: state.State(since=1.0, good=5.0, last=FIRST))
    monkeypatch.setattr(spool, "prune", lambda kept: None)
    monkeypatch.setattr(state, "tell", lambda described, found: None)
    monkeypatch.setattr(
        making, "_make", lambda described: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    kept: list[state.State] = []
    with pytest.raises(Refused, match=r"No space left on device"):
        making.make(DESCRIBED)
    assert kept == [
        state.State(since=1.0, good=5.0, last=FIRST, problem="[Errno 28] No space left on device")
    ]


def test_two_at_once_the_second_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    with making.alone(), pytest.raises(Refused, match="Another backup or restore is at work"), making.alone():
        pass


def test_a_restore_waits_for_whoever_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    monkeypatch.setattr(putting_back, "INCOMING", tmp_path / "incoming")
    held = making.alone()
    held.__enter__()
    monkeypatch.setattr(time, "sleep", lambda seconds: held.__exit__(None, None, None))
    putting_back.receive("files", io.BytesIO(b"whole"))
    assert (tmp_path / "incoming/files").read_bytes() == b"whole"


def test_plain_copies_of_a_killed_call_are_seen_and_go_and_those_of_one_at_work_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    for name in ("INCOMING", "WORK"):
        monkeypatch.setattr(putting_back, name, tmp_path / name)
    assert not putting_back.is_littered()
    (tmp_path / "INCOMING").mkdir()
    (tmp_path / "INCOMING/secrets").write_text("the Fernet key")
    with making.alone():
        assert not putting_back.is_littered()
        putting_back.clean()
        assert (tmp_path / "INCOMING/secrets").exists()
    assert putting_back.is_littered()
    putting_back.clean()
    assert not (tmp_path / "INCOMING").exists()


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's memory, lock and folders in a place of the test's own."""
    place = tmp_path / "state.json"
    monkeypatch.setattr(state, "read", functools.partial(state.read, place))
    monkeypatch.setattr(state, "write", functools.partial(state.write, path=place))
    monkeypatch.setattr(state, "tell", functools.partial(state.tell, figures=tmp_path / "figures"))
    monkeypatch.setattr(putting_back, "make_work", lambda: None)
    (tmp_path / "spool").mkdir()
    for module in (making, putting_back):
        for name in ("HOME", "INCOMING", "WORK", "SPOOL"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, tmp_path / name.lower().replace("home", ""))
    monkeypatch.setattr(spool, "prune", lambda kept: None)
    return place


def test_after_half_a_restore_no_backup_is_made_until_it_is_whole(
    remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"id": FIRST, "parts": {}, "numbers": {}, "roles": []}
    steps: list[str] = []

    def cut_short(described: Described, wanted: object) -> Any:
        yield "stop what works with the data"
        raise Refused("the disk is full")

    monkeypatch.setattr(putting_back, "_put_back", cut_short)
    with pytest.raises(Refused, match="the disk is full"):
        steps += putting_back.restore(DESCRIBED, wanted)
    assert FIRST in state.read().problem, "the alert says which"
    with pytest.raises(Refused) as refused:
        making.make(DESCRIBED)
    assert str(refused.value) == (
        f"{FIRST} was put back in part: what is here is a mixture, and no backup is made of it. "
        f"Finish that: ./provision.py backup restore --from {FIRST}"
    )
    monkeypatch.setattr(putting_back, "_put_back", lambda described, wanted: iter(["start everything again"]))
    assert list(putting_back.restore(DESCRIBED, wanted)) == ["start everything again"]
    assert (state.read().unfinished, state.read().problem) == ("", "")


def test_a_restore_goes_on_when_nobody_listens_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.setattr(sys, "stdout", os.fdopen(writing, "w"))
    program.say("stop what works with the data")
    program.say("put back keys and passwords")
    sys.stdout.close()


def test_a_part_that_has_not_come_whole_stops_before_anything_is_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    monkeypatch.setattr(putting_back, "INCOMING", tmp_path / "incoming")
    putting_back.receive("files", io.BytesIO(b"half"))
    wanted = {"id": FIRST, "parts": {"files": {"bytes": 8, "sha256": "0"}}, "numbers": {}, "roles": []}
    with pytest.raises(Refused) as refused:
        next(putting_back.restore(DESCRIBED, wanted))
    assert str(refused.value) == "The part files has not come whole (4 of 8 bytes); nothing was touched"
    wanted["parts"]["files"]["bytes"] = 4
    with pytest.raises(Refused, match="The part files has changed on its way; nothing was touched"):
        next(putting_back.restore(DESCRIBED, wanted))
    with pytest.raises(Refused, match=r"There is no part '\.\./x'"):
        putting_back.receive("../x", io.BytesIO())


def test_files_of_other_numbers_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(putting_back, "numbers", lambda: {"airflow": 2001, "airbyte": 2002})
    putting_back._require_numbers({"airflow": 2001, "warehouse": 700})
    with pytest.raises(
        Refused, match=r"belong to other numbers: airflow 1500 \(here 2001\)\. Nothing was touched"
    ):
        putting_back._require_numbers({"airflow": 1500})


def test_people_of_the_backup_are_known_but_take_nobodys_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, old = tmp_path / "accounts.json", tmp_path / "old.json"
    here.write_text('{"ana": {"uid": 20001, "came": "2026-11-25", "left": ""}}')
    old.write_text(
        '{"ana": {"uid": 20009, "came": "2026-01-01", "left": ""},'
        ' "ben": {"uid": 20002, "came": "2026-01-01", "left": ""},'
        ' "cy": {"uid": 20001, "came": "2026-01-01", "left": "2026-02-01"}}'
    )
    monkeypatch.setattr(keys_and_people, "LEDGER", here)
    keys_and_people._merge_ledger(old)
    assert {name: line["uid"] for name, line in json.loads(here.read_text()).items()} == {
        "ana": 20001,
        "ben": 20002,
    }


def test_secrets_go_back_and_of_people_those_who_are_described(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, people in ((old, ("ana", "ben")), (new, ("ana",))):
        for path in ("airflow/secrets/fernet_key", *(f"people/passwords/{one}" for one in people)):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(folder.name)
            (folder / path).chmod(0o440)
    (old / "airbyte/secrets").mkdir(parents=True)
    (old / "airbyte/secrets/airbyte_client_id").touch()
    (old / "airflow/pipelines").mkdir(mode=0o750)
    (old / "airflow/pipelines/ledger").touch()
    (new / "people/passwords/ana").chmod(0o400)
    files.pack([old / "airflow", old / "people", old / "airbyte"], tmp_path / "secrets", root=old)
    monkeypatch.setattr(keys_and_people, "WORK", tmp_path)
    monkeypatch.setattr(keys_and_people, "LEDGER", new / "people/accounts.json")
    (tmp_path / "archive").mkdir()
    archive = (tmp_path / "secrets").rename(tmp_path / "archive/secrets")
    keys_and_people.put_back(archive, new)
    found = {str(path.relative_to(new)): path for path in new.rglob("*") if path.is_file()}
    assert {name: path.read_text() for name, path in found.items()} == {
        "airflow/secrets/fernet_key": "old", "airflow/pipelines/ledger": "", "people/passwords/ana": "old",
    }  # fmt: skip
    assert found["airflow/secrets/fernet_key"].stat().st_mode & 0o777 == 0o440
    assert (new / "airflow/pipelines").stat().st_mode & 0o777 == 0o750
    assert found["people/passwords/ana"].stat().st_mode & 0o777 == 0o400


def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The room that is left is the services'."""
    usage = shutil.disk_usage("/")._replace(free=300 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    making._require_room([])
    making._require_room([backup(FIRST, sealed("warehouse", FIRST, 10 * 2**20))])
    with pytest.raises(Refused) as refused:
        making._require_room([backup(FIRST, sealed("warehouse", FIRST, 100 * 2**20))])
    assert str(refused.value) == "The disk is nearly full: a backup needs 456 MiB, 300 MiB are free"
