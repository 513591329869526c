"""The machine's spool of backups: what counts as one, what is kept, and what is handed out."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hangar_backup import records, spool
from hangar_backup.records import Backup

from tests.ansible.backups import FIRST, SECOND, backup, sealed


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


def test_backups_of_days_to_come_push_no_new_one_out(tmp_path: Path) -> None:
    """Made while the clock was wrong; once it is right, each new one would be gone before anybody could fetch it."""
    ahead = [f"2031110{day}T031500Z" for day in (1, 2, 3)]
    lay(tmp_path, *(backup(one, sealed("files", one)) for one in (FIRST, SECOND, *ahead)))
    spool.prune(1, tmp_path, datetime(2026, 11, 2, 4, tzinfo=UTC))
    assert [one.id for one in spool.backups(tmp_path)] == [ahead[-1], SECOND]
    spool.prune(1, tmp_path, datetime(2031, 11, 4, tzinfo=UTC))
    assert [one.id for one in spool.backups(tmp_path)] == [ahead[-1]]


@pytest.mark.parametrize(
    "name", ["../secrets/id_ed25519", "state.json", ".files.new", f"{FIRST}.json/..", "files.age"]
)
def test_nothing_but_indexes_and_objects_is_handed_out(tmp_path: Path, name: str) -> None:
    (tmp_path / "state.json").touch()
    assert spool.place_of(name, tmp_path) is None
