"""What `integrity` says of changed files, and what it takes for known."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.ansible.compared import CONTENT, Machine
from tests.ansible.compared import machine as machine


def test_what_has_not_changed_is_said_so(machine: Machine) -> None:
    done = machine.integrity("check")
    assert (done.returncode, done.stdout) == (0, "No file of the system has changed.\n")
    assert not (machine.place / "new.db.gz").exists()


def test_a_changed_file_fails_each_time_until_somebody_accepts_it(machine: Machine) -> None:
    machine.program.write_text("another")
    machine.differ(changed={str(machine.program): CONTENT})
    for _ in range(2):
        done = machine.integrity("check")
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "1 of 1 changed path(s) are not as an update of Debian's has them:",
            f"  changed {machine.program}",
            f"All, and what of them changed: {machine.place}/report."
            f" Once they are right: sudo {machine.place}/integrity accept",
        ]
        assert machine.known == "first"
        assert not (machine.place / "new.db.gz").exists()
    assert "File: secret" in (machine.place / "report").read_text(), (
        "the journal gets the paths, root the rest"
    )
    assert machine.integrity("accept").returncode == 0
    # It would be told as failed until the next comparison.
    assert (machine.place / "asked").read_text() == "reset-failed hangar-integrity.service\n"
    assert machine.integrity("check").returncode == 0


def test_an_update_is_known_without_anybody_and_is_named(machine: Machine) -> None:
    machine.release("2", "two", machine.folder / "help")
    machine.link.unlink()
    machine.link.symlink_to("sudo")
    machine.differ(
        added={str(machine.folder / "help"): ()},
        removed={},
        changed={
            str(machine.program): CONTENT, str(machine.setting): CONTENT, str(machine.link): ("inode",),
            str(machine.folder): ("size", "link_count"),
        },
    )  # fmt: skip
    done = machine.integrity("check")
    assert done.stdout.splitlines() == [
        "Updated since the files were written down: sudo 1 → 2",
        "5 path(s) have changed, each as these updates have it. They are known now.",
    ]
    assert (done.returncode, machine.known) == (0, "second")
    # That update is spent: the same file again is a stranger's.
    machine.program.write_text("another")
    (machine.place / "now").write_text("third")
    done = machine.integrity("check")
    assert (done.returncode, "Updated since" in done.stdout, machine.known) == (1, False, "second")


def test_what_an_update_takes_away_is_its_own_too(machine: Machine) -> None:
    old = machine.folder / "old"
    machine.release("2", "two", old)
    machine.differ(added={str(old): ()})
    assert machine.integrity("check").returncode == 0
    (machine.place / "now").write_text("third")
    old.unlink()
    machine.release("3", "three")
    machine.differ(removed={str(old): ()})
    (machine.place / "now").write_text("third")
    assert machine.integrity("check").returncode == 0
    # What the new version still has was not taken away by it.
    machine.release("4", "four")
    machine.differ(removed={str(machine.program): ()})
    (machine.place / "now").write_text("fourth")
    done = machine.integrity("check")
    assert (done.returncode, f"  removed {machine.program}\n" in done.stdout) == (1, True)


def test_a_stranger_does_not_pass_in_an_updates_company(machine: Machine) -> None:
    """It alone is named; nothing is known, so that the update does not hide it the next time."""
    machine.release("2", "two")
    stranger = machine.place / "bin/stranger\nNo file of the system has changed."
    stranger.write_text("two")
    machine.differ(added={str(stranger): ()}, changed={str(machine.program): CONTENT})
    done = machine.integrity("check")
    assert (done.returncode, machine.known) == (1, "first")
    assert done.stdout.splitlines()[1:3] == [
        "1 of 2 changed path(s) are not as an update of Debian's has them:",
        f"  added   {machine.place}/bin/stranger?No file of the system has changed.",
    ]


def other_content(machine: Machine) -> None:
    machine.program.write_text("two and more")


def sums_alone(machine: Machine) -> None:
    """Whoever rewrites a package's sums has not updated it."""
    (machine.place / "version").write_text("1")


def a_folder(machine: Machine) -> None:
    machine.program.unlink()
    machine.program.mkdir()


def a_link_to_the_same(machine: Machine) -> None:
    machine.program.rename(machine.place / "same")
    machine.program.symlink_to(machine.place / "same")


def gone(machine: Machine) -> None:
    machine.program.unlink()


def not_written_down(machine: Machine) -> None:
    """By an earlier version of the program: everything would look like an update."""
    (machine.place / "packages.json").unlink()


@pytest.mark.parametrize(
    "sabotage", [other_content, sums_alone, a_folder, a_link_to_the_same, gone, not_written_down]
)
def test_a_file_that_is_not_the_updates_is_a_finding(
    machine: Machine, sabotage: Callable[[Machine], None]
) -> None:
    machine.release("2", "two")
    machine.differ(changed={str(machine.program): CONTENT})
    sabotage(machine)
    done = machine.integrity("check")
    assert (done.returncode, machine.known) == (1, "first")
    assert f"  changed {machine.program}\n" in done.stdout


def test_a_change_that_is_not_told_in_full_is_a_finding(machine: Machine) -> None:
    machine.release("2", "two")
    machine.differ(changed={str(machine.program): ()})
    assert machine.integrity("check").returncode == 1


@pytest.mark.parametrize("attribute", ["perm", "uid", "gid", "acl", "xattrs", "type"])
def test_rights_and_owners_are_never_an_updates(machine: Machine, attribute: str) -> None:
    """Sums say nothing of them."""
    machine.release("2", "two")
    machine.differ(changed={str(machine.program): (*CONTENT, attribute)})
    assert machine.integrity("check").returncode == 1


@pytest.mark.parametrize(("mode", "status"), [(0o755, 0), (0o4755, 1), (0o2755, 1), (0o757, 1), (0o775, 1)])
def test_what_an_update_brings_opens_nothing_unseen(machine: Machine, mode: int, status: int) -> None:
    new = machine.folder / "helper"
    machine.release("2", "two", new)
    new.chmod(mode)
    machine.differ(added={str(new): ()})
    assert machine.integrity("check").returncode == status


def test_a_new_program_with_capabilities_is_a_finding(machine: Machine) -> None:
    new = machine.folder / "helper"
    machine.release("2", "two", new)
    try:
        os.setxattr(new, "user.any", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    machine.differ(added={str(new): ()})
    assert machine.integrity("check").returncode == 1


def test_a_link_that_leads_out_of_its_update_is_a_finding(machine: Machine) -> None:
    machine.release("2", "two")
    machine.link.unlink()
    (machine.place / "elsewhere").write_text("two")
    machine.link.symlink_to(machine.place / "elsewhere")
    machine.differ(changed={str(machine.link): ("inode",)})
    assert machine.integrity("check").returncode == 1


def test_a_change_that_names_no_path_is_a_finding(machine: Machine) -> None:
    machine.release("2", "two")
    machine.differ()
    assert (machine.integrity("check").returncode, machine.known) == (1, "first")


@pytest.mark.parametrize("word", ["check", "accept"])
def test_a_comparison_that_could_not_be_made_is_an_error_and_nothing_is_learned(
    machine: Machine, word: str
) -> None:
    machine.differ()
    done = machine.integrity(word, error=17)
    assert (done.returncode, done.stderr) == (17, "ERROR: no database\n\n")
    assert machine.known == "first"
    assert not (machine.place / "asked").exists()


def test_another_word_changes_nothing_and_says_which_there_are(tmp_path: Path) -> None:
    done = Machine(tmp_path).integrity("learn")
    assert done.returncode == 64
    assert done.stderr.startswith("usage: integrity check:")
    assert not (tmp_path / "known.db.gz").exists()
