"""The machine's half: what is compared, refused, written down and written."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils import hangar_files, hangar_journal, hangar_written

from .conftest import Apply, absent, apply_tree, directory, file


def journal(tmp_path: Path) -> hangar_journal.Journal:
    found = hangar_journal.load("trial", str(tmp_path / "journal"))
    assert found is not None
    return found


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_a_second_call_changes_nothing(apply: Apply, tmp_path: Path) -> None:
    wanted = [directory(tmp_path / "etc", "0750"), file(tmp_path / "etc/a", "a\n", "0640")]
    first, second = apply(*wanted), apply(*wanted)
    assert first["changed"]
    assert first["changed_files"] == [str(tmp_path / "etc"), str(tmp_path / "etc/a")]
    assert not second["changed"]
    assert second["changed_files"] == []
    assert ((tmp_path / "etc/a").read_text(), mode(tmp_path / "etc/a"), mode(tmp_path / "etc")) == (
        "a\n",
        0o640,
        0o750,
    )


def test_check_mode_says_the_same_and_touches_nothing(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("stays\n")
    wanted = [file(tmp_path / "deep/er/a"), absent(tmp_path / "b")]
    foreseen = apply(*wanted, check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b"]
    assert apply(*wanted)["diff"] == foreseen["diff"]


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("kind", ["file", "link to nothing"])
def test_nothing_is_written_where_something_else_stands(
    apply: Apply, tmp_path: Path, check: bool, kind: str
) -> None:
    wanted = file(tmp_path / "etc/a")
    stands = tmp_path / "stands"
    unless = {str(tmp_path / "never"): "Nobody is there.", str(stands): "The other one is there."}
    stands.touch() if kind == "file" else stands.symlink_to("nowhere")
    refused = apply(wanted, check=check, unless=unless)
    assert (refused["failed"], refused["msg"]) == (True, "The other one is there.")
    assert not (tmp_path / "etc").exists()
    stands.unlink()
    assert apply(wanted, check=check, unless=unless)["changed"]
    assert (tmp_path / "etc/a").exists() is not check


def test_bytes_arrive_as_they_are(apply: Apply, tmp_path: Path) -> None:
    raw = bytes(range(256)) + b"{{ not_a_template }}\r\n"
    shown = apply(file(tmp_path / "logo.png", raw))["diff"]
    assert (tmp_path / "logo.png").read_bytes() == raw
    assert shown[0]["after"] == f"(binary, {len(raw)} bytes)\n"


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_drifted_mode_is_repaired_whatever_the_umask(apply: Apply, tmp_path: Path, umask: int) -> None:
    wanted = [directory(tmp_path / "d"), file(tmp_path / "d/a", mode="0604")]
    old = os.umask(umask)
    try:
        apply(*wanted)
        (tmp_path / "d/a").chmod(0o777)
        (tmp_path / "d").chmod(0o700)
        result = apply(*wanted)
    finally:
        os.umask(old)
    assert result["changed_files"] == [str(tmp_path / "d"), str(tmp_path / "d/a")]
    assert (mode(tmp_path / "d"), mode(tmp_path / "d/a")) == (0o755, 0o604)
    assert any("0777" in part["before"] and "0604" in part["after"] for part in result["diff"])


def test_a_refused_file_leaves_everything_as_it_was(apply: Apply, tmp_path: Path) -> None:
    """All are judged before one is written, and the message names the file and what the judge said."""
    (tmp_path / "good").write_text("old\n")
    judge = "sh -c 'echo line 7 of $0 is wrong >&2; exit 3' %s"
    for check in (True, False):
        result = apply(file(tmp_path / "good"), file(tmp_path / "new/bad", validate=judge), check=check)
        assert result["failed"]
        for part in (str(tmp_path / "new/bad"), "line 7", "exit 3"):
            assert part in result["msg"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "journal") == ["good"]
    assert (tmp_path / "good").read_text() == "old\n"


def test_an_error_under_no_log_carries_no_output(apply: Apply, tmp_path: Path) -> None:
    spill = "sh -c 'cat $0; exit 1' %s"
    assert "s3cret" in apply(file(tmp_path / "a", "s3cret", validate=spill))["msg"]
    assert "s3cret" not in str(apply(file(tmp_path / "a", "s3cret", validate=spill), hidden=True))


def test_the_judge_reads_the_new_file_beside_its_target(apply: Apply, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    judge = f'sh -c \'echo "$0" > {seen}; cat "$0" >> {seen}\' %s'
    apply(file(tmp_path / "x.service", "text\n", validate=judge))
    path, text = seen.read_text().splitlines()
    assert Path(path).parent == tmp_path
    assert path.endswith("-x.service")
    assert text == "text"
    assert not Path(path).exists()


def test_a_judge_that_is_missing_is_named(apply: Apply, tmp_path: Path) -> None:
    wanted = file(tmp_path / "a", validate="no-such-program %s")
    assert "no-such-program is not there" in apply(wanted)["msg"]
    assert not apply(wanted, check=True).get("failed"), "an earlier role would have installed it"


def test_an_unknown_owner_is_named(apply: Apply, tmp_path: Path) -> None:
    wanted = file(tmp_path / "a", owner="nobody-of-this-name")
    assert apply(wanted)["msg"] == f"{tmp_path}/a: there is no owner 'nobody-of-this-name' on the machine"
    assert apply(wanted, check=True)["changed"], "an earlier role would have made the account"


def test_a_link_in_place_of_a_file_is_replaced_and_not_followed(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious\n")
    (tmp_path / "a").symlink_to("precious")
    apply(file(tmp_path / "a"))
    assert not (tmp_path / "a").is_symlink()
    assert (tmp_path / "precious").read_text() == "precious\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a link for somebody else")
def test_a_folder_that_is_somebody_elses_link_is_refused(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "home").symlink_to("real")
    os.lchown(tmp_path / "home", 65534, 65534)
    assert "is a symbolic link that root did not make" in apply(file(tmp_path / "home/a"))["msg"]
    os.lchown(tmp_path / "home", 0, 0)
    assert apply(file(tmp_path / "home/a"))["changed"]
    assert (tmp_path / "real/a").exists()


def test_a_file_where_a_folder_belongs_is_refused_and_the_reverse(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    assert "a file stands where a directory belongs" in apply(directory(tmp_path / "file"))["msg"]
    assert "a directory stands where a file belongs" in apply(file(tmp_path / "folder"))["msg"]
    assert "is not a directory" in apply(file(tmp_path / "file/under"))["msg"]


@pytest.mark.parametrize("path", ["relative/a", "/etc/../a", "/etc//a", "/"])
def test_a_path_that_is_not_plain_is_refused(apply: Apply, path: str) -> None:
    assert "must be an absolute path" in apply(file(Path("/x")) | {"path": path})["msg"]


def test_an_exclusive_folder_keeps_only_what_is_brought(apply: Apply, tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    (folder / "old/er").mkdir(parents=True)
    for stray in ("stray", "old/er/x"):
        (folder / stray).write_text("stray\n")
    result = apply(file(folder / "mine"), exclusive=[str(folder)])
    assert [path.name for path in folder.iterdir()] == ["mine"]
    assert str(folder / "stray") in result["changed_files"]


def test_an_empty_file_that_goes_is_in_the_diff(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "stray").write_text("")
    result = apply({"path": str(tmp_path / "stray"), "kind": "absent", "diff": True})
    assert [(part["before"], part["after"]) for part in result["diff"]] == [("(empty)\n", "")]


def test_hidden_content_is_in_no_diff_and_not_kept(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("old-secret\n")
    result = apply(file(tmp_path / "secret", "new-secret\n", diff=False))
    assert result["changed"]
    assert "-secret" not in str(result)
    assert journal(tmp_path).before[str(tmp_path / "secret")].content == b""
    assert "diff" not in apply(file(tmp_path / "secret", "third\n"), diff=False)


def test_the_journal_holds_what_stood_there(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old\n")
    apply(file(tmp_path / "a"), file(tmp_path / "new"))
    written = journal(tmp_path)
    assert written.state == "kept"
    assert written.before[str(tmp_path / "a")].content == b"old\n"
    assert written.before[str(tmp_path / "new")].kind == "absent"
    assert hangar_journal.restore(written) == []
    assert (tmp_path / "a").read_text() == "old\n"
    assert not (tmp_path / "new").exists()


def test_what_follows_runs_once_for_what_fits(apply: Apply, tmp_path: Path) -> None:
    log = tmp_path / "log"
    then = {f"{tmp_path}/a*": f"echo first >> {log}", f"{tmp_path}/b*": f"echo second >> {log}"}
    apply(file(tmp_path / "a1"), file(tmp_path / "a2"), then=then)
    apply(file(tmp_path / "a1"), file(tmp_path / "a2"), then=then)
    assert log.read_text() == "first\n"


def test_what_did_not_come_to_its_end_runs_at_the_next_call(apply: Apply, tmp_path: Path) -> None:
    """A reload that failed, or was cut off with the controller, is not forgotten."""
    then = {f"{tmp_path}/a": f"test -e {tmp_path}/ready"}
    failed = apply(file(tmp_path / "a"), then=then)
    assert "runs again at the next call" in failed["msg"]
    (tmp_path / "ready").touch()
    again = apply(file(tmp_path / "a"), then=then)
    assert (again["changed"], again["changed_files"]) == (True, [str(tmp_path / "a")])
    assert not apply(file(tmp_path / "a"), then=then)["changed"]


def test_a_failed_proof_of_the_whole_brings_everything_back(apply: Apply, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("old\n")
    result = apply(file(tmp_path / "a"), file(tmp_path / "b"), verify="echo whole is wrong >&2; false")
    assert "whole is wrong" in result["msg"]
    assert "all was brought back" in result["msg"]
    assert (tmp_path / "a").read_text() == "old\n"
    assert not (tmp_path / "b").exists()


def test_leftovers_of_a_killed_run_are_cleared(apply: Apply, tmp_path: Path) -> None:
    left = hangar_files.stage(
        str(tmp_path / "a"), hangar_files.State("file", os.geteuid(), os.getegid(), 0o600, b"half")
    )
    os.close(left.parent)
    (tmp_path / ".hangar-not-ours").touch()
    apply(file(tmp_path / "a"))
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hangar-not-ours", "a", "journal"]


class Timer:
    """Stands in for systemd: notes what was armed."""

    def __init__(self) -> None:
        self.armed: list[tuple[str, int]] = []
        self.refuses = False

    def __call__(self, argv: list[str], **_: Any) -> Any:
        if argv[0] == "systemd-run":
            if self.refuses:
                raise OSError("no systemd here")
            after = next(part for part in argv if part.startswith("--on-active="))
            self.armed.append((argv[-3], int(after.removeprefix("--on-active=").removesuffix("s"))))
        return type("Done", (), {"returncode": 0, "stdout": "", "stderr": ""})


@pytest.fixture
def timer(monkeypatch: pytest.MonkeyPatch) -> Timer:
    stand_in = Timer()
    monkeypatch.setattr(hangar_journal.subprocess, "run", stand_in)
    return stand_in


UNDO = {"after": 60, "command": "true"}


def test_the_timer_is_armed_before_the_first_byte_and_only_for_a_change(
    apply: Apply, tmp_path: Path, timer: Timer
) -> None:
    timer.refuses = True
    assert "cannot be started" in apply(file(tmp_path / "a"), undo=UNDO)["msg"]
    assert not (tmp_path / "a").exists()
    timer.refuses = False
    assert apply(file(tmp_path / "a"), undo=UNDO)["armed"]
    hangar_journal.keep(journal(tmp_path), str(tmp_path / "journal"))
    assert not apply(file(tmp_path / "a"), undo=UNDO)["armed"]
    assert timer.armed == [("trial", 60)]


def test_a_change_that_was_never_proven_is_armed_again(apply: Apply, tmp_path: Path, timer: Timer) -> None:
    """A killed controller: the next run takes up the proof, and the way back still leads to the first state."""
    (tmp_path / "a").write_text("first\n")
    apply(file(tmp_path / "a", "second\n"), undo=UNDO)
    taken_up = apply(file(tmp_path / "a", "second\n"), undo=UNDO)
    assert taken_up["armed"]
    apply(file(tmp_path / "a", "third\n"), undo=UNDO)
    assert len(timer.armed) == 3
    assert hangar_journal.undo(journal(tmp_path), str(tmp_path / "journal")) == []
    assert (tmp_path / "a").read_text() == "first\n"
    assert journal(tmp_path).state == "undone"


def test_there_is_always_one_timer_that_counts(apply: Apply, tmp_path: Path, timer: Timer) -> None:
    """Armed anew and refused: the first timer still leads back."""
    (tmp_path / "a").write_text("first\n")
    apply(file(tmp_path / "a", "second\n"), undo=UNDO)
    armed = journal(tmp_path)
    timer.refuses = True
    assert "cannot be started" in apply(file(tmp_path / "a", "third\n"), undo=UNDO)["msg"]
    assert journal(tmp_path) == armed
    assert (tmp_path / "a").read_text() == "second\n"


def test_an_undo_is_not_kept_waiting_by_a_command_that_hangs(
    apply: Apply, tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What follows a change that is armed is ended, with what it started, and the way back is free."""
    monkeypatch.setattr(apply_tree, "HELD", 1.0)
    (tmp_path / "a").write_text("first\n")
    os.mkfifo(tmp_path / "begun")
    found: list[str] = []

    def wait_as_an_undo_does() -> None:
        with (tmp_path / "begun").open() as stream:
            stream.readline()
            with hangar_journal.locked("trial", str(tmp_path / "journal")):
                found.append(journal(tmp_path).state)
            stream.read()  # to its end: nobody is left who could write

    waiting = threading.Thread(target=wait_as_an_undo_does, daemon=True)
    waiting.start()
    hangs = f"exec 3> {tmp_path}/begun; echo begun >&3; sleep 60; true"
    told = apply(file(tmp_path / "a", "second\n"), undo=UNDO, then={str(tmp_path / "a"): hangs})["msg"]
    waiting.join(10)
    assert not waiting.is_alive()
    assert found == ["undone"]
    assert (tmp_path / "a").read_text() == "first\n"
    assert told == f"{hangs!r} failed (exit 124): not done 1 s after the step began; all was brought back"


def test_a_judge_that_hangs_is_ended_before_anything_is_written(
    apply: Apply, tmp_path: Path, timer: Timer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_tree, "HELD", 0.5)
    wanted = file(tmp_path / "a", validate="sh -c 'sleep 60; true' %s")
    for check in (True, False):
        assert (
            "(exit 124): not done 0.5 s after the step began" in apply(wanted, undo=UNDO, check=check)["msg"]
        )
        assert not (tmp_path / "a").exists()
    assert timer.armed == []


def test_what_follows_takes_its_time_where_no_undo_waits(
    apply: Apply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(apply_tree, "HELD", 0.1)
    assert apply(file(tmp_path / "a"), then={str(tmp_path / "a"): "sleep 0.4"})["changed"]


def test_two_journals_do_not_mix(apply: Apply, tmp_path: Path, timer: Timer) -> None:
    apply(file(tmp_path / "a"), undo=UNDO)
    apply(file(tmp_path / "b"), undo=UNDO, name="other")
    hangar_journal.undo(journal(tmp_path), str(tmp_path / "journal"))
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "b").exists()
    assert hangar_journal.names(str(tmp_path / "journal")) == ["other", "trial"]


def test_the_documentation_names_every_option() -> None:
    import yaml

    documented = set(yaml.safe_load(apply_tree.DOCUMENTATION)["options"])
    assert set(apply_tree.SPEC) - {"entries"} <= documented


def test_what_is_written_is_noted_for_the_daily_comparison(
    apply: Apply, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timer: Timer
) -> None:
    """To the letter and beforehand, where files are compared; and again when it is undone."""
    monkeypatch.setattr(hangar_written, "COMPARED", (f"{tmp_path}/etc/",))
    monkeypatch.setattr(hangar_written, "FOLDER", str(tmp_path / "integrity"))
    path = tmp_path / "etc/deep/a"
    apply(file(path), undo=UNDO)
    assert hangar_written.read() == {}, "nothing is compared on this machine"
    (tmp_path / "integrity").mkdir()
    hangar_journal.keep(journal(tmp_path), str(tmp_path / "journal"))
    apply(file(path, "newer\n", "0600"), file(tmp_path / "etc/new/b"), file(tmp_path / "srv/c"), undo=UNDO)
    made = [str(tmp_path / "etc/new"), str(path), str(tmp_path / "etc/new/b")]
    assert sorted(hangar_written.read()) == sorted(made)
    for place in made:
        assert hangar_written.read()[place] == hangar_written.describe(hangar_files.look(place))
    hangar_journal.undo(journal(tmp_path), str(tmp_path / "journal"))
    assert hangar_written.read()[str(path)] == hangar_written.describe(hangar_files.look(str(path)))
    assert hangar_written.read()[str(tmp_path / "etc/new/b")] == ["absent"]
    assert hangar_written.read()[str(tmp_path / "etc/new")] == ["absent"]
