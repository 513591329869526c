"""The folder on this computer: what is listed is whole, and what goes is what nobody names any more."""

from __future__ import annotations

import json
import os
from dataclasses import replace

import pytest

from hangar.backup.folder import Folder
from hangar.backup.records import parse
from hangar.errors import HangarError

from .conftest import Make

FIRST, SECOND, THIRD = "20261101T031500Z", "20261102T031500Z", "20261103T031500Z"


def test_the_newest_is_listed_first_and_found_as_latest(folder: Folder, make: Make) -> None:
    make(FIRST), make(SECOND)
    assert [one.id for one in folder.backups()] == [SECOND, FIRST]
    assert folder.require("latest").id == SECOND
    assert folder.require(FIRST).id == FIRST


def test_what_is_not_there_is_said_with_what_is(folder: Folder, make: Make) -> None:
    with pytest.raises(HangarError) as none:
        folder.require("latest")
    assert none.value == HangarError(
        "There is no backup.", "* Looked in: .hangar/local/backups",
        "Name where they are in platform.yml (backup.folder, backup.sftp or backup.gcs), or make one: "
        "./provision.py backup now",
    )  # fmt: skip
    make(FIRST)
    with pytest.raises(HangarError) as other:
        folder.require(SECOND)
    assert other.value == HangarError(
        f"There is no backup {SECOND}.", "* Looked in: .hangar/local/backups", f"There are: {FIRST}"
    )


def test_a_backup_that_lacks_something_is_not_restored(folder: Folder, make: Make) -> None:
    found = make(FIRST)
    (folder.path / found.parts[0].object).write_bytes(b"short")
    with pytest.raises(HangarError, match="is not whole") as refused:
        folder.require("latest")
    assert refused.value.details == f"* missing or cut short: files-{FIRST}.age"


def test_what_an_interrupted_fetch_leaves_is_not_listed(folder: Folder, make: Make) -> None:
    make(FIRST)
    folder.fresh(f"files-{SECOND}.age").write_bytes(b"half")
    (folder.path / f"{THIRD}.json").write_text('{"id": "2026')
    assert [one.id for one in folder.backups()] == [FIRST]


def test_thinning_out_leaves_objects_that_a_kept_backup_shares(folder: Folder, make: Make) -> None:
    old = make(FIRST)
    make(SECOND), make(THIRD, *old.parts)
    (folder.path / "notes.txt").touch()
    assert sorted(folder.keep({THIRD})) == [FIRST, SECOND]
    assert sorted(path.name for path in folder.path.iterdir()) == [
        f"{THIRD}.json", f"files-{FIRST}.age", f"files-{THIRD}.age", "notes.txt",
    ]  # fmt: skip
    assert folder.missing(folder.require("latest")) == []


@pytest.mark.parametrize("name", ["../../id_ed25519", "files-1.age", "/etc/passwd", ""])
def test_an_index_that_names_other_files_is_none(folder: Folder, make: Make, name: str) -> None:
    """It comes from outside: whoever writes it must not choose what is read or written here."""
    make(FIRST)
    found = json.loads((folder.path / f"{FIRST}.json").read_text())
    assert parse(found) is not None
    found["parts"][0]["object"] = name
    assert parse(found) is None


def test_another_machines_backups_are_let_be_and_put_back_by_name_alone(folder: Folder, make: Make) -> None:
    ours, theirs = make("20261101T031500Z"), make("20261102T031500Z", machine="hangar-sandbox")
    assert folder.backups() == [ours]
    assert folder.require("latest") == ours
    assert folder.require(theirs.id) == theirs
    assert folder.keep(set()) == [ours.id]
    assert folder.missing(theirs) == []
    assert folder.require(theirs.id) == theirs
    with pytest.raises(HangarError, match=r"There is no backup\."):
        folder.require("latest")


def test_what_another_call_is_fetching_just_now_is_not_thinned_out(folder: Folder, make: Make) -> None:
    """Its index comes last. What a killed one left goes when it is a day old."""
    make(FIRST)
    fetched, left = folder.path / f"files-{SECOND}.age", folder.path / f"files-{THIRD}.age"
    fetched.touch(), left.touch()
    os.utime(left, (1.0, 1.0))
    assert folder.keep({FIRST}) == []
    assert (fetched.exists(), left.exists()) == (True, False)


def test_names_that_another_machines_backup_has_are_taken(folder: Folder, make: Make) -> None:
    ours, theirs = make(FIRST), make(SECOND, machine="hangar-sandbox")
    assert folder.taken_by(ours) == ""
    assert folder.taken_by(replace(ours, id=SECOND)) == "hangar-sandbox"
    assert folder.taken_by(replace(ours, parts=theirs.parts)) == "", "the same object is nobody's loss"
    other = replace(theirs.parts[0], sha256="0" * 64)
    assert folder.taken_by(replace(ours, parts=(other,))) == "hangar-sandbox"
