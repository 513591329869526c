"""What a service, or the host that takes backups, does to keep root from making one, or to make more of it."""

from __future__ import annotations

import os
import sqlite3
import sys
import tarfile
import time
from pathlib import Path

import hangar_bounds
import pytest
from hangar_backup import databases, files, running, sending, state
from hangar_backup.described import Refused
from hangar_backup.running import Failed, TookTooLong, run

from tests.ansible.mounts import mounted, needs_fuse

ENDLESS = "import os\nwhile True: os.write({}, b'x' * 65536)"
EVIL = "\x1b]52;c;ZXZpbA==\x07\x9b2Jfull\r"


def program(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_an_answer_without_end_is_not_taken_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangar_bounds, "SAID", 1 << 20)
    with pytest.raises(Refused) as refused:
        run(program(ENDLESS.format(1)), "Asking")
    assert str(refused.value) == "Asking failed: it says more than 1 MiB"


def test_an_answer_without_end_fills_no_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written into a file is not seen by us: the kernel ends it."""
    monkeypatch.setattr(hangar_bounds, "_room", lambda _: 1 << 20)
    with (tmp_path / "dump").open("xb") as sink, pytest.raises(Refused) as refused:
        run(program(ENDLESS.format(1)), "Dumping", sink=sink)
    assert str(refused.value) == "Dumping failed: it says more than 1 MiB"
    assert (tmp_path / "dump").stat().st_size == 1 << 20


def test_the_disk_keeps_room_for_the_databases(tmp_path: Path) -> None:
    with (tmp_path / "dump").open("xb") as sink:
        found = os.fstatvfs(sink.fileno())
        assert hangar_bounds._room(sink) < found.f_bavail * found.f_frsize


def test_whoever_takes_too_long_is_ended_with_what_they_started(tmp_path: Path) -> None:
    """As root starts a service's program: by one of ours in between, which waits for it."""
    script = f"sleep 600 & echo $! > {tmp_path}/pid; wait"
    with pytest.raises(TookTooLong):
        run(["sh", "-c", script], "Asking", timeout=1)
    child = Path("/proc") / (tmp_path / "pid").read_text().strip() / "stat"
    until = time.monotonic() + 10
    while child.exists() and child.read_text().split()[2] != "Z":  # dead, and waits for its parent
        assert time.monotonic() < until


def test_a_complaint_without_end_takes_no_longer_than_is_given() -> None:
    with pytest.raises(TookTooLong):
        run(program(ENDLESS.format(2)), "Sending", timeout=1)


def test_of_a_long_complaint_the_end_is_kept() -> None:
    with pytest.raises(Failed) as failed:
        run(program("import sys; sys.stderr.write('x' * 10**7 + '\\nfull\\n'); sys.exit(1)"), "Sending")
    assert len(failed.value.said) <= hangar_bounds.COMPLAINED
    assert failed.value.said.endswith("x\nfull\n")
    assert len(str(failed.value)) < 1000


def test_a_program_is_given_all_of_its_input_while_it_answers() -> None:
    given = "line\n" * 300_000
    assert run(["cat"], "Copying", text=given, timeout=60) == given
    assert run(["true"], "Asking", text=given, timeout=60) == ""  # it reads nothing of it


def test_another_hosts_words_act_on_no_terminal_and_in_no_chat(tmp_path: Path) -> None:
    said = f"<!channel> {EVIL}\n"
    assert sending.reason(said) == "<!channel>  ]52;c;ZXZpbA==  2Jfull"
    with pytest.raises(Failed) as failed:
        run(program(f"import sys; sys.exit({said!r})"), "Sending")
    assert str(failed.value) == "Sending failed: <!channel>  ]52;c;ZXZpbA==  2Jfull"
    assert state.plain(f'"{said}" & @here') == "'(!channel)  ]52;c;ZXZpbA==  2Jfull  ' ? ?here"


@pytest.fixture
def records(tmp_path: Path) -> Path:
    """Airbyte's, whose check of itself takes half a minute and more: whoever writes there chooses what it runs."""
    place = tmp_path / "state.sqlite"
    with sqlite3.connect(place) as live:
        live.execute("pragma ignore_check_constraints = on")
        live.execute("create table jobs (id check (length(hex(zeroblob(90000000 + id))) > 0))")
        live.executemany("insert into jobs values (?)", [(number,) for number in range(300)])
    return place


def test_records_that_take_for_ever_hold_up_nobody_elses_backup(
    records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "COPIED", 2)
    with pytest.raises(TookTooLong) as late:
        databases.copy_airbyte(tmp_path / "copy", records)
    assert str(late.value) == "Copying Airbyte's records took longer than 2 seconds"


def test_records_that_grow_beyond_the_memory_are_not_taken_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(databases, "LARGEST", 2 << 20)
    place = tmp_path / "state.sqlite"
    with sqlite3.connect(place) as live:
        live.execute("create table jobs (said)")
        live.execute("insert into jobs values (zeroblob(1 << 20))")
    databases.copy_airbyte(tmp_path / "fits", place)
    assert (tmp_path / "fits").stat().st_size == place.stat().st_size
    with sqlite3.connect(place) as live:
        live.execute("insert into jobs values (zeroblob(1 << 20))")
    with pytest.raises(Failed) as large:
        databases.copy_airbyte(tmp_path / "copy", place)
    assert str(large.value) == "Copying Airbyte's records failed: they are larger than 2 MiB"


def test_what_reading_the_records_runs_has_no_more_memory_than_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check of theirs asks for most of a gigabyte."""
    monkeypatch.setattr(databases, "MEMORY", 400 << 20)
    place = tmp_path / "state.sqlite"
    with sqlite3.connect(place) as live:
        live.execute("pragma ignore_check_constraints = on")
        live.execute("create table jobs (id check (length(hex(zeroblob(400000000 + id))) > 0))")
        live.execute("insert into jobs values (1)")
    with pytest.raises(Failed, match=r"^Copying Airbyte's records failed: .*(MemoryError|out of memory)"):
        databases.copy_airbyte(tmp_path / "copy", place)


def test_the_shape_of_the_records_is_told_by_their_owner(tmp_path: Path) -> None:
    place = tmp_path / "state.sqlite"
    with sqlite3.connect(place) as live:
        live.execute("pragma journal_mode = wal")
        live.execute("create table jobs (id)")
    databases.copy_airbyte(tmp_path / "copy", place)
    assert databases.shape_of_airbyte(tmp_path / "copy", place) == "0 [('CREATE TABLE jobs (id)',)]"
    (tmp_path / "copy").write_bytes(b"no database " * 99)
    with pytest.raises(Failed, match="file is not a database"):
        databases.shape_of_airbyte(tmp_path / "copy", place)


def test_records_that_are_not_sound_are_no_backup(tmp_path: Path) -> None:
    place = tmp_path / "state.sqlite"
    with sqlite3.connect(place) as live:
        live.execute("pragma ignore_check_constraints = on")
        live.execute("create table jobs (id check (id > 0))")
        live.execute("insert into jobs values (0)")
    with pytest.raises(Refused, match="they are not sound: CHECK constraint failed in jobs"):
        databases.copy_airbyte(tmp_path / "copy", place)


def test_a_file_of_holes_keeps_nobodys_files_from_being_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dag.py").write_text("x = 1\n")
    with (tmp_path / "data/holes").open("wb") as holes:
        holes.truncate(2**40)
        holes.seek(2**39)
        holes.write(b"end")
    monkeypatch.setattr(files, "PACKED", 10)
    files.pack([tmp_path / "data"], tmp_path / "files", root=tmp_path)
    assert files.count(tmp_path / "files") == 3
    files.unpack(tmp_path / "files", tmp_path / "back")
    back = tmp_path / "back/data/holes"
    assert back.stat().st_size == 2**40
    assert back.stat().st_blocks * 512 < 2**20
    with back.open("rb") as holes:
        holes.seek(2**39)
        assert holes.read(4) == b"end\0"
    assert (tmp_path / "back/data/dag.py").read_text() == "x = 1\n"


def test_whoever_owns_a_database_looks_in_no_schema_that_others_make() -> None:
    assert running.account(Path("/").stat())["env"]["PGOPTIONS"] == "-c search_path="
    assert "PGOPTIONS" not in running.account("root")["env"]


def nested(folder: Path, name: str, depth: int) -> None:
    """Folders in folders, as anybody can make them who goes down step by step."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir(name, dir_fd=here)
        below = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)


@needs_fuse
@pytest.mark.parametrize("runs", [True, False])
def test_what_somebody_mounts_keeps_nobodys_files_from_being_copied(tmp_path: Path, runs: bool) -> None:
    """Root can look at it as little as everybody else. A folder of a like name, which is none, is copied."""
    shared = tmp_path / "srv/airflow/dags"
    for name in ("mal/a [b]*", "mal/a [b]*c", "ben"):
        (shared / name).mkdir(parents=True)
        (shared / name / "dag.py").write_text("x")
    with mounted(shared / "mal/a [b]*") as program:
        if not runs:
            program.close()
        assert files.fingerprint([shared]) == "", "it is copied each time"
        files.pack([shared], tmp_path / "files", root=tmp_path / "srv")
    with tarfile.open(tmp_path / "files") as packed:
        names = [name for name in packed.getnames() if name.endswith(".py")]
    assert sorted(names) == ["airflow/dags/ben/dag.py", "airflow/dags/mal/a [b]*c/dag.py"]


def test_folders_deeper_than_a_path_is_long_are_copied_each_time(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/dag.py").touch()
    assert files.fingerprint([tmp_path / "data"])
    nested(tmp_path / "data", "d" * 200, 30)
    assert files.fingerprint([tmp_path / "data"]) == ""
    files.pack([tmp_path / "data"], tmp_path / "files", root=tmp_path)
    assert files.count(tmp_path / "files") == 32


def test_folders_without_an_end_keep_no_backup_from_being_put_back_and_none_from_being_made(
    tmp_path: Path,
) -> None:
    for place in ("data", "work"):
        (tmp_path / place).mkdir()
        nested(tmp_path / place, "d", 3000)
    (tmp_path / "new").mkdir()
    (tmp_path / "new/dag.py").touch()
    files.replace(tmp_path / "new", tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["dag.py"]
    running.make_work(tmp_path / "work")
    assert list((tmp_path / "work").iterdir()) == []
