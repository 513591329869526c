"""An upgrade that fails, or is cut short: what brings back what was there, and what the next call finds."""

import pytest

from hangar.errors import MachineUnreachable, PlaybookFailed
from hangar.upgrade import attempt
from hangar.upgrade.machine import Refused
from hangar.upgrade.records import Cut, Plan
from tests.unit.upgrade.upgrading import BACKUP, DEBIAN, HELD, IMAGE, IN_ORDER, LOST, Make, Stages, apply
from tests.unit.upgrade.upgrading import stages as stages


def test_a_promise_that_is_lost_brings_back_what_was_there(stages: Stages, make_config: Make) -> None:
    stages.promises = [HELD, LOST]
    with pytest.raises(attempt.Undone) as undone:
        apply(make_config())
    assert stages.calls == [*IN_ORDER, "undo", "release"]
    assert undone.value == attempt.Undone(
        "The upgrade failed; what was there before is in service again, and tasks begin.",
        "* After the upgrade, something that held before does not hold any more.\n"
        "  * base: Time is kept\n"
        "* put back: images of airflow as they were\n"
        "* stay upgraded: 1 Debian packages (/var/log/apt/history.log)\n"
        "* stay as this checkout has them: the other roles' files, and DAGs that were released",
        "Prove it: ./provision.py verify local\n"
        "The other roles' files come back with the earlier checkout's ./provision.py up local",
    )


def test_what_did_not_hold_before_is_nobodys_reason_to_go_back(stages: Stages, make_config: Make) -> None:
    stages.promises = [LOST, LOST]
    stages.keep = lambda broken: stages._called("keep")
    assert apply(make_config()).broken_before == ("base: Time is kept", "airflow: Logs leave")


@pytest.mark.parametrize("at", ["packages", "playbook"])
def test_a_step_that_fails_brings_back_what_was_there(stages: Stages, make_config: Make, at: str) -> None:
    stages.fails[at] = PlaybookFailed(
        "Ansible stopped at “airflow: Stack | Build the images”.", "no such wheel"
    )
    with pytest.raises(attempt.Undone) as undone:
        apply(make_config())
    assert stages.calls[-3:] == [at, "undo", "release"]
    assert undone.value.details.startswith(
        "* Ansible stopped at “airflow: Stack | Build the images”.\n  no such wheel\n"
    )
    assert ("stay upgraded" in undone.value.details) is (at == "playbook")


def test_debians_packages_alone_have_no_way_back_and_none_is_claimed(
    stages: Stages, make_config: Make
) -> None:
    stages.plan, stages.promises = Plan((DEBIAN,)), [HELD, LOST]
    with pytest.raises(attempt.Broken):
        apply(make_config())
    assert stages.calls == ["verify", "backup", "packages", "verify"]


@pytest.mark.parametrize("at", ["undo", "release"])
def test_a_way_back_that_fails_says_what_is_left(stages: Stages, make_config: Make, at: str) -> None:
    stages.promises = [HELD, LOST]
    stages.fails[at] = MachineUnreachable("hangar-local stopped answering (to go back).", "* gone")
    with pytest.raises(attempt.HalfWay) as half:
        apply(make_config())
    assert half.value.brief == "The upgrade failed, and what was there before could not be put back."
    assert half.value.details.endswith("* hangar-local stopped answering (to go back).\n  * gone")
    assert half.value.resolution == (
        "The same command goes on from there: ./provision.py upgrade apply local\n"
        f"Or the data of the backup: ./provision.py backup restore local --from {BACKUP.id}"
    )


def test_a_call_that_is_interrupted_leaves_what_the_next_one_needs(stages: Stages, make_config: Make) -> None:
    stages.fails["playbook"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        apply(make_config())
    assert not {"undo", "done", "release"} & set(stages.calls)


def test_an_upgrade_that_was_cut_short_goes_on_with_what_it_kept(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan(
        (IMAGE,), cut=Cut("2026-11-28T22:00:00Z", "aaaa", held=True, broken=("airflow: Logs leave",))
    )
    done = apply(make_config())
    assert stages.calls == ["drain again", "playbook", "verify", "done", "release"]
    assert done.broken_before == ("airflow: Logs leave",)


def test_one_after_which_tasks_have_begun_keeps_anew(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan(
        (IMAGE,), cut=Cut("2026-11-28T22:00:00Z", "aaaa", held=False, broken=("airflow: Logs leave",))
    )
    apply(make_config())
    assert stages.calls == ["drain", "busy", "busy", "keep", "playbook", "verify", "done", "release"]


def test_an_airflow_that_was_left_half_upgraded_need_not_answer(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan((IMAGE,), cut=Cut("2026-11-28T22:00:00Z", "aaaa", held=False))
    stages.fails["drain"] = Refused(
        "hangar-local was asked to let no task begin, and could not.", "Airflow is silent"
    )
    stages.promises = [HELD]
    with pytest.raises(attempt.Undone):
        apply(make_config())
    assert stages.calls == ["drain", "drain again", "playbook", "verify", "undo", "release"]
