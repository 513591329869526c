"""The interlock's program on a full disk: nobody stays locked out for want of room."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from ansible.module_utils import hangar_files as files
from ansible.module_utils import hangar_journal as journals

from tests.ansible.guarded import changed as changed
from tests.ansible.guarded import interlock as interlock
from tests.ansible.guarded import journal_of


@contextlib.contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """A full disk, for what is larger: the kernel refuses to write it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("verb", [["undo", "trial", "--token", "t1"], ["boot"]])
def test_a_full_disk_keeps_nobody_locked_out_for_the_sake_of_a_note(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str]
) -> None:
    """The daily comparison's note of what comes back does not fit; what refuses everybody goes all the same."""
    notes = changed.parent / "notes"
    (notes / "written.json").parent.mkdir()
    (notes / "written.json").write_text(json.dumps({f"/etc/{number}": ["absent"] for number in range(9000)}))
    monkeypatch.setattr(journals.written, "FOLDER", str(notes))
    monkeypatch.setattr(journals.written, "COMPARED", (f"{changed.parent}/",))
    refusing = changed.parent / "made/refusing.conf"
    refusing.parent.mkdir()
    refusing.write_text("DenyUsers *\n")
    journal = journals.load("trial")
    journal.before[str(refusing)] = files.State()
    journal.made = [str(refusing.parent)]
    journals.save(journal)
    with no_file_larger_than(65536):
        assert interlock.main(verb) == 0
    assert not refusing.parent.exists()
    assert changed.read_text() == "before\n"


def no_room(parent: int, name: str, state: files.State) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_on_a_full_disk_a_file_comes_back_into_the_room_that_it_had(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """There is none for a second one beside it, and what stands there may lock everybody out."""
    before = files.State.from_json(json.loads(journal_of(changed).read_text())["before"][str(changed)])
    changed.write_text("refuses everybody, in more words than before\n")
    with monkeypatch.context() as full:
        full.setattr(files, "_make_file", no_room)
        assert interlock.main(["undo", "trial", "--token", "t1"]) == 1, "the journal itself found no room"
    assert files.look(str(changed)) == before
    assert f"trial: brought back 1 paths: {changed}\n" in capsys.readouterr().out
    assert interlock.main(["boot"]) == 0


@pytest.mark.parametrize("case", ["too large", "another's name"])
def test_nothing_else_is_written_over_on_a_full_disk(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:  # fmt: skip
    journal = journals.load("trial")
    if case == "too large":
        journal.before[str(changed)] = replace(journal.before[str(changed)], content=b"before\n" * 9000)
        journals.save(journal)
    else:
        os.link(changed, changed.parent / "of somebody else")
    monkeypatch.setattr(files, "_make_file", no_room)
    assert interlock.main(["undo", "trial", "--token", "t1"]) == 1
    assert changed.read_text() == "after\n"
    said = {
        "too large": "is larger than the room that there is",
        "another's name": "is not a file of ours alone",
    }
    assert f"trial: {changed}: {said[case]}" in capsys.readouterr().err


def test_a_journal_that_cannot_be_written_keeps_no_other_from_being_undone(
    interlock: ModuleType, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a full disk, at a start: what came back counts and is told, and is brought back again by the next start."""
    first = changed.parent / "first"
    first.write_text("refuses everybody\n")
    large = journals.Journal("a_large_one", state="open", before={str(first): files.State()})
    large.network = {f"{changed.parent}/gone/{number}": "1" for number in range(9000)}
    with journals.locked("a_large_one"):
        journals.save(large)
    with no_file_larger_than(65536):
        assert interlock.main(["boot"]) == 1
    assert not first.exists()
    assert changed.read_text() == "before\n"
    said = capsys.readouterr()
    assert f"a_large_one: brought back 1 paths: {first}\n" in said.out
    path = changed.parent / "journal/a_large_one/journal.json"
    assert f"a_large_one: what came back cannot be written down: {path}: cannot be written: " in said.err
    assert (journals.load("a_large_one").state, journals.load("trial").state) == ("open", "undone")
    assert interlock.main(["boot"]) == 0
    assert journals.load("a_large_one").state == "undone"
