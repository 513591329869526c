"""The machine's program, with journals in a folder of the test's own."""

from __future__ import annotations

import fcntl
import json
import subprocess
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from ansible.module_utils import hangar_files as files
from ansible.module_utils import hangar_journal as journals

from tests.ansible.guarded import STOP_TIMER
from tests.ansible.guarded import changed as changed
from tests.ansible.guarded import interlock as interlock


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
        with (changed.parent / "journal/trial/lock").open() as stream:
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
    journal = changed.parent / "journal/trial/journal.json"
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
