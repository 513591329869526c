"""The machine's program, with journals in a folder of the test's own."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import importlib.machinery
import importlib.util
import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import hangar_files as files
from ansible.module_utils import hangar_journal as journals

PROGRAM = Path(__file__).resolve().parents[2] / "roles/interlock/templates/usr/local/lib/hangar/interlock"
STOP_TIMER = journals._stop_timer
"""What asks systemd, which `interlock` takes away."""


@pytest.fixture
def interlock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported; systemd is not asked for anything."""
    monkeypatch.setitem(sys.modules, "hangar_journal", journals)
    for name in ("names", "locked", "load", "save", "keep", "undo", "arm"):
        function = getattr(journals, name)
        function = getattr(function, "__wrapped__", function)
        ours = [
            str(tmp_path / "journal") if value == journals.ROOT else value for value in function.__defaults__
        ]
        monkeypatch.setattr(function, "__defaults__", tuple(ours))
    monkeypatch.setattr(journals, "_stop_timer", lambda name, token: None)
    loader = importlib.machinery.SourceFileLoader("interlock_program", str(PROGRAM))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.fixture
def changed(tmp_path: Path, interlock: ModuleType) -> Path:
    """A file that was changed and is unproven; undoing it leaves a trace."""
    path = tmp_path / "file"
    path.write_text("before\n")
    journal = journals.Journal("trial", state="open", token="t1", command=f"touch {tmp_path}/reloaded")
    journal.before[str(path)] = files.look(str(path))
    with journals.locked("trial"):
        journals.save(journal)
    path.write_text("after\n")
    path.chmod(0o600)
    return path


def journal_of(changed: Path) -> Path:
    return changed.parent / "journal/trial/journal.json"


def test_undo_brings_back_content_and_mode_and_makes_it_count(interlock: ModuleType, changed: Path) -> None:
    before = changed.stat().st_mode
    assert interlock.main(["undo", "trial", "--token", "t1"]) == 0
    assert changed.read_text() == "before\n"
    assert changed.stat().st_mode != before
    assert (changed.parent / "reloaded").exists()


def test_a_timer_that_was_replaced_does_nothing(interlock: ModuleType, changed: Path) -> None:
    assert interlock.main(["undo", "trial", "--token", "t0"]) == 0
    assert changed.read_text() == "after\n"


def test_what_is_kept_stays_whatever_fires_later(interlock: ModuleType, changed: Path) -> None:
    assert interlock.main(["keep", "trial"]) == 0
    for late in (["undo", "trial", "--token", "t1"], ["undo", "trial", "--if-open"], ["boot"]):
        assert interlock.main(late) == 0
    assert changed.read_text() == "after\n"
    assert interlock.main(["undo", "trial"]) == 1


def test_a_proof_that_comes_too_late_is_told_so(
    interlock: ModuleType, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interlock.main(["undo", "trial"])
    assert interlock.main(["keep", "trial"]) == 1
    assert "is undone already" in capsys.readouterr().err


def test_a_start_undoes_all_that_is_open_and_starts_nothing(interlock: ModuleType, changed: Path) -> None:
    assert interlock.main(["boot"]) == 0
    assert changed.read_text() == "before\n"
    assert not (changed.parent / "reloaded").exists()


def test_a_start_lets_systemd_see_the_units_that_came_back(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has read what was there before: the firewall's unit of the change that nobody has proven, say."""
    ran: list[list[str]] = []

    def run(argv: list[str], **how: Any) -> Any:
        ran.append(argv)
        return subprocess.CompletedProcess(argv, 0)

    monkeypatch.setattr(interlock, "subprocess", SimpleNamespace(run=run))
    assert interlock.main(["boot"]) == 0
    assert ran == [], "no unit was among them"
    journal = journals.Journal("trial", state="open", token="t1")
    journal.before["/etc/systemd/system/hangar-nowhere.d/none.conf"] = files.State()
    with journals.locked("trial"):
        journals.save(journal)
    assert interlock.main(["boot"]) == 0
    assert ran == [["systemctl", "daemon-reload"]]


@pytest.mark.parametrize(
    "verb",
    [["arm", "trial"], ["guard", "trial"], ["keep", "trial"], ["undo", "trial"], ["boot"]],
    ids=lambda it: it[0],
)
def test_nothing_is_decided_while_another_holds_the_journal(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch, verb: list[str]
) -> None:
    """A timer that strikes into a run would bring half a change back, and the run's proof would keep the other half."""
    found: list[bool] = []
    load = journals.load

    def is_held() -> bool:
        with (journal_of(changed).parent / "lock").open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    def looked(name: str) -> Any:
        found.append(is_held())
        return load(name)

    monkeypatch.setattr(journals, "load", looked)
    monkeypatch.setattr(journals, "arm", lambda journal, after: found.append(is_held()))
    assert interlock.main(verb) == 0
    assert found
    assert all(found)
    assert not is_held(), "it lets go"


def test_only_root_reads_what_a_journal_holds(changed: Path) -> None:
    """Hashes of passwords stand in what it brings back."""
    journal = journal_of(changed)
    assert [one.stat().st_mode & 0o777 for one in (journal, journal.parent, journal.parents[1])] == [
        0o600,
        0o700,
        0o700,
    ]


def test_what_has_not_taken_effect_is_known_after_commands_were_guarded(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nobody reloads the daemon that still goes by the file of before."""
    monkeypatch.setattr(journals, "arm", lambda journal, after: journals.save(journal))
    journals.save(journals.Journal("trial", state="kept", unsettled=[str(changed)]))
    assert interlock.main(["guard", "trial"]) == 0
    journal = journals.load("trial")
    assert journal is not None
    assert (journal.unsettled, journal.before) == ([str(changed)], {})


def test_one_path_that_cannot_be_brought_back_does_not_stop_the_others(
    interlock: ModuleType, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    journal = journals.load("trial")
    blocked = changed.parent / "blocked"
    (blocked / "inside").mkdir(parents=True)
    journal.before[str(blocked)] = files.State()  # was not there; now it is a folder with something in it
    journals.save(journal)
    assert interlock.main(["undo", "trial"]) == 1
    assert changed.read_text() == "before\n"
    assert f"{blocked}: cannot be removed" in capsys.readouterr().err


@pytest.fixture
def blocked(changed: Path) -> Path:
    """A second path of the journal, which cannot be brought back before somebody has mended it."""
    blocked = changed.parent / "blocked"
    (blocked / "inside").mkdir(parents=True)
    journal = journals.load("trial")
    journal.before[str(blocked)] = files.State()
    journals.save(journal)
    return blocked


MEND = "Mend what keeps the rest from coming back, then: sudo /usr/local/lib/hangar/interlock undo trial\n"
IN_PART = f"undone in part, the machine's next start tries again. {MEND}"


def test_a_start_tries_again_what_did_not_come_back_and_nothing_else(
    interlock: ModuleType, changed: Path, blocked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert interlock.main(["undo", "trial", "--token", "t1"]) == 1
    said = capsys.readouterr()
    assert said.out == f"trial: brought back 1 paths: {changed}\n"
    assert said.err.startswith(f"trial: {blocked}: cannot be removed")
    assert said.err.endswith(f"\ntrial: {IN_PART}")
    changed.write_text("what the operator mended meanwhile\n")
    (blocked / "inside").rmdir()
    blocked.rmdir()
    blocked.write_text("a link or a file now\n")
    assert interlock.main(["boot"]) == 0
    assert not blocked.exists()
    assert changed.read_text() == "what the operator mended meanwhile\n"
    interlock.main(["list"])
    listed = json.loads(capsys.readouterr().out.partition("\n")[2])
    assert [(one["state"], one["undone_in_part"], one["paths"]) for one in listed] == [
        ("undone", False, [str(changed), str(blocked)])
    ]
    assert interlock.main(["boot"]) == 0
    assert capsys.readouterr() == ("", "")


def test_starts_do_not_try_for_ever_but_the_operator_may(
    interlock: ModuleType, changed: Path, blocked: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    tried: list[str] = []
    real = journals._restore_one
    monkeypatch.setattr(journals, "_restore_one", lambda *what: tried.append(what[0]) or real(*what))
    interlock.main(["undo", "trial", "--token", "t1"])
    for _ in range(5):
        assert interlock.main(["boot"]) == 1, "a start's unit stays failed as long as something is missing"
    assert tried.count(str(blocked)) == 4
    assert tried.count(str(changed)) == 1
    told = capsys.readouterr().err
    assert f"trial: undone in part, nobody tries again by itself. {MEND}" in told
    assert told.endswith(f"trial: is undone in part only, and not tried again. {MEND}")
    (blocked / "inside").rmdir()
    blocked.rmdir()
    assert interlock.main(["undo", "trial"]) == 0
    assert interlock.main(["boot"]) == 0


def test_what_is_undone_in_part_is_not_kept_by_a_proof_that_comes_too_late(
    interlock: ModuleType, changed: Path, blocked: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    interlock.main(["undo", "trial"])
    assert interlock.main(["keep", "trial"]) == 1
    assert capsys.readouterr().err.endswith("interlock: the journal trial is undone in part already\n")


def test_a_command_that_made_it_count_does_not_run_again_for_nothing(
    interlock: ModuleType, changed: Path, blocked: Path
) -> None:
    interlock.main(["undo", "trial"])
    reloaded = changed.parent / "reloaded"
    reloaded.unlink()
    assert interlock.main(["undo", "trial"]) == 1
    assert not reloaded.exists()
    (blocked / "inside").rmdir()
    assert interlock.main(["undo", "trial"]) == 0
    assert reloaded.exists()


def test_a_command_that_hangs_keeps_nothing_else_from_coming_back(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """sshd's reload, say: the accounts and the network are brought back all the same, and it is told."""
    back: list[str] = []
    monkeypatch.setattr(journals, "COMMAND_LIMIT", 0.2)
    monkeypatch.setattr(journals.reach, "restore_network", lambda before: back.append("network") or [])
    monkeypatch.setattr(journals, "_restore_account", lambda name, before: back.append(name) or [])
    journal = journals.load("trial")
    journal.command, journal.accounts = "sleep 60", {"hangar": {}}
    journals.save(journal)
    assert interlock.main(["undo", "trial", "--token", "t1"]) == 1
    assert changed.read_text() == "before\n"
    assert back == ["network", "hangar"]
    said = capsys.readouterr()
    assert said.err == f"trial: sleep 60: not done after 0.2 s\ntrial: {IN_PART}"
    assert f"trial: brought back 1 paths: {changed}\n" in said.out
    assert interlock.main(["boot"]) == 0, "services start with what came back, which makes it count"
    assert journals.load("trial").state == "undone"


@pytest.mark.parametrize(
    "text", ["{", "{}", '{"name": "a", "before": {}, "of_a_later_release": 1}', '{"name": "a", "before": []}']
)
def test_a_journal_that_cannot_be_read_keeps_no_other_from_being_undone(
    interlock: ModuleType, changed: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    """At a start any of them may be the one that locks the operator out."""
    with journals.locked("a_damaged_one"):
        (changed.parent / "journal/a_damaged_one/journal.json").write_text(text)
    assert interlock.main(["boot"]) == 1
    assert changed.read_text() == "before\n"
    path = changed.parent / "journal/a_damaged_one/journal.json"
    said = capsys.readouterr().err
    assert said.startswith(f"interlock: {path}: cannot be read, so nothing of it can be brought back: ")
    assert said.endswith(f". Once new logins work: sudo rm {path}\n")
    assert interlock.main(["list"]) == 1
    assert [one["name"] for one in json.loads(capsys.readouterr().out)] == ["trial"]


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


def test_a_proven_change_stays_where_systemd_is_too_busy_to_stop_the_timer(
    interlock: ModuleType, changed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure told the run to say that the machine had undone it; a timer that fires finds the journal closed."""

    def busy(argv: list[str], **how: Any) -> None:
        raise subprocess.TimeoutExpired(argv, how["timeout"])

    monkeypatch.setattr(journals, "_stop_timer", STOP_TIMER)
    monkeypatch.setattr(journals.subprocess, "run", busy)
    assert interlock.main(["keep", "trial"]) == 0
    assert interlock.main(["undo", "trial", "--token", "t1"]) == 0
    assert changed.read_text() == "after\n"


def test_the_list_is_for_programs(
    interlock: ModuleType, changed: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert interlock.main(["list"]) == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["state"], entry["paths"]) == ("trial", "open", [str(changed)])


def test_a_name_that_leads_elsewhere_is_refused(
    interlock: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert interlock.main(["undo", "../../etc"]) == 1
    assert "is not a journal's name" in capsys.readouterr().err


def test_commands_that_change_accounts_are_guarded_without_a_file(
    interlock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The timer runs before the first command; a journal that is open goes on, with what it knew first."""
    found = {"shell": "/bin/bash", "groups": ["hangar-admins"], "locked": False, "expires": ""}
    monkeypatch.setattr(journals, "KEYS", f"{tmp_path}/keys/")
    monkeypatch.setattr(journals.reach, "account", lambda name: dict(found) if name == "hangar" else None)
    monkeypatch.setattr(
        journals.subprocess,
        "run",
        lambda argv, **_: type("Done", (), {"returncode": 0, "stdout": "", "stderr": ""}),
    )
    argv = ["guard", "people", "--after", "30", "--account=hangar", "--account=nobody-here"]
    assert interlock.main(argv) == 0
    found["groups"] = []
    assert interlock.main(argv) == 0
    journal = journals.load("people")
    assert journal is not None
    assert (journal.state, list(journal.accounts), journal.before) == ("open", ["hangar"], {})
    assert journal.accounts["hangar"]["groups"] == ["hangar-admins"]
    assert interlock.main(["keep", "people"]) == 0
    assert interlock.main(argv) == 0
    again = journals.load("people")
    assert again is not None
    assert again.accounts["hangar"]["groups"] == []


OPS, ADA, BEN = (f"ssh-ed25519 AAAA{name} {name}\n" for name in ("ops", "ada", "ben"))


@pytest.mark.parametrize(
    ("before", "changed_to", "brought_back"),
    [
        (OPS + ADA, OPS, OPS),
        (OPS + ADA, OPS + BEN, OPS),
        (f'expiry-time="20270101Z" {OPS}' + ADA, OPS, f'expiry-time="20270101Z" {OPS}'),
        (OPS, BEN, OPS),
        (OPS + ADA, "rubbish\n", OPS + ADA),
        # Who was taken away had the key of somebody who stays in a comment.
        (OPS + f"ssh-ed25519 AAAAmal mal {OPS}", OPS, OPS),
    ],
    ids=["a revocation", "a revocation and somebody new", "another day", "the last key", "no key at all",
         "a key in a comment"],
)  # fmt: skip
def test_a_revocation_is_never_rolled_back_but_for_the_last_key(
    interlock: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    before: str, changed_to: str, brought_back: str,
) -> None:  # fmt: skip
    monkeypatch.setattr(journals, "KEYS", f"{tmp_path}/keys/")
    path = tmp_path / "keys" / "hangar"
    path.parent.mkdir()
    path.write_text(before)
    journal = journals.Journal("trial", state="open", token="t1")
    journal.before[str(path)] = files.look(str(path))
    with journals.locked("trial"):
        journals.save(journal)
    path.write_text(changed_to)
    assert interlock.main(["undo", "trial"]) == 0
    assert path.read_text() == brought_back
