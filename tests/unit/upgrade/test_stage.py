"""An upgrade's order: what it asks before it begins, and what it does then."""

import pytest

from hangar.backup.machine import BackupFailed
from hangar.errors import HangarError, MachineMissing, PlaybookFailed
from hangar.upgrade import attempt, stage
from hangar.upgrade.machine import Refused
from hangar.upgrade.records import Group, Item, Plan, Refusal
from tests.unit.upgrade.upgrading import BACKUP, DEBIAN, HELD, IMAGE, IN_ORDER, LIBRARY, Make, Stages, apply
from tests.unit.upgrade.upgrading import stages as stages


def test_all_goes_well(stages: Stages, make_config: Make) -> None:
    asked: list[Plan] = []
    done = stage.apply(make_config(), asked.append)
    assert asked == [stages.plan]
    assert stages.calls == [*IN_ORDER, "done", "release"]
    assert done == attempt.Done(stages.plan, (LIBRARY,), BACKUP.id, ("airflow: Logs leave",))
    assert stages.cloud.held == ["provision.py upgrade apply local", "let go"]


SETTING = Group("platform", "Airbyte's platform", (Item("global.x", "as installed", "as described"),))


@pytest.mark.parametrize(("plan", "went", "told"), [
    (SETTING, True, (False, False)), (SETTING, False, (True, False)), ("CHART", True, (False, False)),
])  # fmt: skip
def test_airbytes_platform_that_went_back_is_told_as_such(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch, plan: Group | str, went: bool,
    told: tuple[bool, bool],
) -> None:  # fmt: skip
    """Settings go back; so does a release that had not been begun. Commands are given for a release alone."""
    stages.plan = Plan((plan if isinstance(plan, Group) else CHART,))
    stages.fails["playbook"] = PlaybookFailed("The playbook failed.")
    monkeypatch.setattr(stages, "undo", lambda: ["Airbyte's platform as it was"] if went else ["x"])
    with pytest.raises(attempt.Undone) as undone:
        apply(make_config())
    assert ("not put back" in undone.value.details, "by hand" in undone.value.resolution) == told


def test_without_a_backup_the_copy_on_the_machine_is_what_there_is(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan((CHART,))
    stages.fails["playbook"] = PlaybookFailed("The playbook failed.")
    with pytest.raises(attempt.Undone) as undone:
        apply(make_config(), without_backup=True)
    assert undone.value.resolution.endswith(
        "\n  and, for want of a backup, the copy in /srv/airbyte/backups by hand (pg_dumpall's)"
    )


CHART = Group("platform", "Airbyte's platform", (Item("release", "2.4.0", "2.5.0"),))


@pytest.mark.parametrize("fails", [False, True])
def test_airbytes_platform_may_change_for_this_once(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """What the role asks for (airbyte.abctl.upgrade) is given by the plan that somebody agreed to."""
    given: list[bool] = []
    monkeypatch.setattr(
        stage.pipeline, "introduce", lambda server, config, **_: given.append(config.airbyte.abctl.upgrade)
    )
    stages.plan = Plan((CHART,))
    if fails:
        stages.fails["playbook"] = PlaybookFailed("The playbook failed.")
        with pytest.raises(attempt.Undone) as undone:
            apply(make_config())
        assert (
            "* not put back: Airbyte's platform (its copies from before: /srv/airbyte/backups)"
            in undone.value.details
        )
        assert undone.value.resolution.endswith(
            "\nAirbyte's platform comes back by hand:\n"
            "  ./provision.py ssh local -- sudo airbyte-abctl uninstall --data\n"
            "  ./provision.py up local      # with airbyte.abctl.chart: 2.4.0 in platform.yml\n"
            "  ./provision.py backup restore local --from 20261128T220000Z"
        )
    else:
        apply(make_config())
    assert given == [False, True, False]  # at the connection, for the playbook, and afterwards
    given.clear()
    stages.fails.clear()
    stages.plan, stages.promises = Plan((IMAGE,)), [HELD, HELD]
    apply(make_config())
    assert given == [False]


def test_the_lock_of_a_dead_call_can_be_broken(stages: Stages, make_config: Make) -> None:
    """As the refusal of a lock that another computer has says."""
    apply(make_config(), break_lock=True)
    assert stages.cloud.held == ["provision.py upgrade apply local --break-lock", "let go"]


def test_nothing_to_upgrade_touches_nothing(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan()
    done = stage.apply(
        make_config("backup.enabled=false"), lambda plan: pytest.fail("nobody had to be asked")
    )
    assert (done, stages.calls) == (attempt.Done(Plan()), [])


def test_packages_of_debian_alone_keep_nobody_from_working(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan((DEBIAN,))
    apply(make_config())
    assert stages.calls == ["verify", "backup", "packages", "verify"]


def test_dockers_packages_start_its_daemons_anew(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan((Group("docker", "Docker's packages", (Item("docker.io", "1", "2"),)),))
    apply(make_config())
    assert "packages ['docker.io']" in stages.calls


def test_a_refusal_stops_before_anything(stages: Stages, make_config: Make) -> None:
    stages.plan = Plan(
        (IMAGE,), (Refusal("it would go back", "git pull"), Refusal("by a dump alone", "docs"))
    )
    with pytest.raises(stage.NotPossible) as refused:
        apply(make_config())
    assert refused.value == stage.NotPossible(
        "This upgrade is not made by itself; nothing was touched.",
        "* it would go back\n* by a dump alone", "git pull\ndocs",
    )  # fmt: skip
    assert stages.calls == []


def test_without_a_backup_it_does_not_begin(stages: Stages, make_config: Make) -> None:
    with pytest.raises(stage.NotPossible) as refused:
        apply(make_config("backup.enabled=false"))
    assert refused.value.brief == "A backup comes first, and none is configured; nothing was touched."
    assert refused.value.resolution == (
        "Switch it on (platform.yml: backup.enabled), then: ./provision.py up local\n"
        "Or go without: ./provision.py upgrade apply local --without-backup"
    )
    assert stages.calls == []
    done = apply(make_config("backup.enabled=false"), without_backup=True)
    assert done.backup == ""
    assert stages.calls == [name for name in [*IN_ORDER, "done", "release"] if name != "backup"]


def test_a_backup_that_fails_leaves_the_machine_at_work(stages: Stages, make_config: Make) -> None:
    stages.fails["backup"] = BackupFailed("The backup failed; earlier ones stay as they are.")
    with pytest.raises(BackupFailed):
        apply(make_config())
    assert stages.calls == ["verify", "backup"]


def test_who_says_no_is_left_alone(stages: Stages, make_config: Make) -> None:
    def no(plan: Plan) -> None:
        raise HangarError("hangar-local was left as it is.")

    with pytest.raises(HangarError, match="left as it is"):
        stage.apply(make_config(), no)
    assert stages.calls == []


def test_a_task_that_does_not_end_is_not_ended(stages: Stages, make_config: Make) -> None:
    stages.left = [["elt.build", "2 of Airbyte's jobs"]]
    with pytest.raises(HangarError) as late:
        apply(make_config(), minutes=0)
    assert late.value == HangarError(
        "Something still runs after 0 minutes; nothing was upgraded, and tasks begin again.",
        "* elt.build, 2 of Airbyte's jobs",
        "Wait for it, then: ./provision.py upgrade apply local\n"
        "Or wait longer: ./provision.py upgrade apply local --minutes 60",
    )
    assert stages.calls == ["verify", "backup", "drain", "busy", "release"]


def test_what_cannot_be_kept_is_not_upgraded(stages: Stages, make_config: Make) -> None:
    stages.fails["keep"] = Refused(
        "hangar-local was asked to keep what is there, and could not.", "the disk is full"
    )
    with pytest.raises(Refused):
        apply(make_config())
    assert stages.calls[-2:] == ["keep", "release"]


def test_a_plan_only_looks(stages: Stages, make_config: Make) -> None:
    assert stage.plan(make_config()) == stages.plan
    assert stages.calls == []


def test_an_environment_without_a_machine(stages: Stages, make_config: Make) -> None:
    stages.cloud.spec = None
    with pytest.raises(MachineMissing):
        apply(make_config())


def test_an_airflow_that_does_not_answer_is_not_upgraded(stages: Stages, make_config: Make) -> None:
    stages.fails["drain"] = Refused(
        "hangar-local was asked to let no task begin, and could not.", "Airflow is silent"
    )
    with pytest.raises(Refused):
        apply(make_config())
    assert stages.calls == ["verify", "backup", "drain"]
