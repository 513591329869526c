from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hangar import consent, console, machine, paths, pipeline
from hangar.config import Config
from hangar.elt.records import Gold
from hangar.errors import (
    CloudError,
    ConfigError,
    HangarError,
    LockHeld,
    MachineMissing,
    MachineUnreachable,
    NeedsAnswer,
    PlaybookFailed,
)
from hangar.plan import Change, Plan
from hangar.playbook import Recap
from tests.unit.fakes import SERVER
from tests.unit.stages import FORWARDS, GOLD, PROMISES, Make, Stages


def test_up_goes_from_nothing_to_a_report(stages: Stages, make_config: Make) -> None:
    report = pipeline.up(make_config())
    assert stages.calls == [
        "prepare", "plan", "ensure", "pin", "ssh_config", "hosts.yml", "playbook", "backup's signer",
        "pipelines", "first run", "verify", "tunnel",
    ]  # fmt: skip
    assert (report.server, report.promises, report.forwards) == (SERVER, PROMISES, FORWARDS)
    assert (report.changed, report.gold) == (4, GOLD)
    assert report.roles == {"base": 2.0, "hardening_kernel": 1.5, "interlock": 4.0}
    assert [timing.stage for timing in report.timings] == [
        "Machine", "Connection", "Playbook", "Pipelines", "First run", "Verification", "Tunnel",
    ]  # fmt: skip


def test_only_what_configures_the_machine_makes_a_key_for_its_backups(
    stages: Stages, make_config: Make
) -> None:
    """A colleague's clone that looked at the machine had one that opened nothing"""
    config = make_config()
    stages.cloud.spec = machine.spec(config, make_key=True)
    pipeline.verify(config)
    pipeline.introduce(SERVER, config)
    assert not paths.backup_key("local").exists()
    pipeline.plan(config)  # writes hosts.yml for Ansible by itself
    made = paths.backup_key("local").read_bytes()
    pipeline.up(config)
    assert paths.backup_key("local").read_bytes() == made


def test_where_the_operators_key_is_not_here_nothing_is_made_for_backups_either(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(private: Path) -> str:
        raise HangarError("The operator's key is not here.")

    monkeypatch.setattr(pipeline, "read_public_key", missing)
    with pytest.raises(HangarError):
        pipeline.introduce(SERVER, make_config(), configures=True)
    assert not paths.backup_key("local").exists()


def test_a_second_up_changes_nothing(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    stages.recap = Recap(ok=13, changed=0)
    assert pipeline.up(make_config()).changed == 0


@pytest.mark.parametrize("missing", ["airbyte", "warehouse"])
def test_a_machine_that_lacks_an_end_gets_no_pipelines(
    stages: Stages, make_config: Make, missing: str
) -> None:
    pipeline.up(make_config(f"{missing}.enabled=false"))
    assert not {"pipelines", "first run"} & set(stages.calls)
    assert stages.calls[6:10] == ["playbook", "backup's signer", "verify", "tunnel"]


@pytest.mark.parametrize("setting", ["pipelines.first_run=false", "airflow.examples=false"])
def test_a_first_run_that_is_left_out_leaves_the_gold_in_the_report(
    stages: Stages, make_config: Make, setting: str
) -> None:
    report = pipeline.up(make_config(setting))
    assert "first run" not in stages.calls
    assert "pipelines" in stages.calls
    assert report.gold == GOLD


def test_pipelines_without_the_examples_connection_have_no_first_run(
    stages: Stages, make_config: Make, repo: Path
) -> None:
    (repo / "pipelines/airbyte.yml").write_text("sources: {}\n")
    pipeline.up(make_config())
    assert "first run" not in stages.calls


def test_a_first_run_that_did_something_is_a_change(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline.first_run, "ensure", lambda *_: (GOLD, True))
    assert pipeline.up(make_config()).changed == 5


def test_gold_that_cannot_be_read_is_told_and_breaks_no_verification(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_: object) -> None:
        raise HangarError("The warehouse on hangar-local does not answer (for the gold tables).")

    pipeline.up(make_config())
    monkeypatch.setattr(pipeline.first_run, "look", refuses)
    report = pipeline.verify(make_config())
    assert report.gold == Gold(problem="The warehouse on hangar-local does not answer (for the gold tables).")
    assert report.holds


def test_wrong_pipelines_are_refused_before_anything_is_touched(
    stages: Stages, make_config: Make, repo: Path
) -> None:
    (repo / "pipelines/airbyte.yml").write_text("sources: {faker: {conector: faker}}\n")
    with pytest.raises(ConfigError, match="pipelines"):
        pipeline.up(make_config())
    assert stages.calls == []


def test_hangar_makes_its_own_key_where_none_is_named(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    key = paths.default_private_key("local")
    assert key.stat().st_mode & 0o777 == 0o600
    assert stages.cloud.spec
    assert stages.cloud.spec.public_key == key.with_suffix(".pub").read_text().strip()


def test_a_failing_stage_ends_the_run_and_frees_the_lock(stages: Stages, make_config: Make) -> None:
    stages.error = PlaybookFailed("Ansible stopped.")
    with pytest.raises(PlaybookFailed):
        pipeline.up(make_config())
    assert stages.calls[-1] == "playbook"
    stages.error = None
    assert pipeline.up(make_config()).holds


@pytest.mark.parametrize("step", ["prepare", "plan", "ensure"])
def test_nothing_is_configured_where_no_machine_came_to_be(
    stages: Stages, make_config: Make, step: str
) -> None:
    stages.cloud.fail_at = step
    with pytest.raises(CloudError):
        pipeline.up(make_config())
    assert stages.calls[-1] == step


def test_a_machine_is_thrown_away_only_after_asking(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    stages.cloud.recipe = "older"
    with pytest.raises(NeedsAnswer) as unasked:
        pipeline.up(make_config())
    assert (
        "Make hangar-local anew (base image: older → r1)? What is under /srv stays" in unasked.value.details
    )
    console.configure(yes=True)
    assert pipeline.up(make_config()).changed == 4


def test_no_means_the_machine_stays(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline.up(make_config())
    stages.cloud.recipe = "older"
    monkeypatch.setattr(consent, "confirm", lambda question: False)
    with pytest.raises(HangarError, match="left as it is") as refused:
        pipeline.up(make_config())
    assert refused.value.resolution == "See: ./provision.py plan local"
    assert stages.cloud.recipe == "older"


def test_plan_of_nothing_writes_nothing_but_its_state_folder(
    stages: Stages, make_config: Make, repo: Path
) -> None:
    plan, recap = pipeline.plan(make_config())
    assert (plan.changes[0].action, recap) == ("create", None)
    assert stages.calls == ["plan", "server"]
    assert not paths.default_private_key("local").exists()
    assert {path.name for path in paths.state_dir("local").iterdir()} == {"lock"}


def test_plan_of_a_machine_asks_ansible_in_check_mode(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    stages.calls.clear()
    plan, recap = pipeline.plan(make_config())
    assert (plan.has_changes, recap) == (False, stages.recap)
    assert stages.calls == ["plan", "server", "pin", "ssh_config", "hosts.yml", "playbook --check"]


def test_what_is_known_of_the_machine_is_told_though_nobody_gets_in(
    stages: Stages, make_config: Make, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may say why: somebody removed the rule that admits us. Nothing is called done, and it ends as it went."""
    pipeline.up(make_config())
    admits = Change("firewall rule hangar-production-iap", "create", "")
    known = Plan((admits,), drift=("firewall rule hangar-production-iap is gone",), guarded=True)
    monkeypatch.setattr(stages.cloud, "plan", lambda spec: known)
    capsys.readouterr()
    assert pipeline.plan(make_config())[0] == known
    assert "firewall rule" not in capsys.readouterr().out, "whoever asked shows it"
    stages.error = MachineUnreachable("Ansible could not log in to the machine of local.")
    with pytest.raises(MachineUnreachable, match="could not log in"):
        pipeline.plan(make_config())
    said = capsys.readouterr()
    assert said.out.endswith(
        "+ firewall rule hangar-production-iap: create\n"
        "! changed by hand: firewall rule hangar-production-iap is gone\n"
    )
    assert said.err == "This is the plan of the machine alone: what is on it could not be looked at.\n"


def test_plan_of_a_replacement_does_not_ask_the_machine_that_goes(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    stages.cloud.recipe = "older"
    plan, recap = pipeline.plan(make_config())
    assert (plan.replaces, recap) == (True, None)


def test_verify_changes_nothing(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    stages.calls.clear()
    report = pipeline.verify(make_config())
    assert stages.calls == ["server", "pin", "ssh_config", "hosts.yml", "verify", "tunnel?", "gold?"]
    assert (report.changed, report.promises) == (None, PROMISES)


def test_verify_needs_a_machine(stages: Stages, make_config: Make) -> None:
    with pytest.raises(MachineMissing, match="The environment local has no machine"):
        pipeline.verify(make_config())


def test_a_restore_is_looked_at_first_and_comes_after_the_playbook(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config(), restore="latest")
    order = [
        call for call in stages.calls if call in ("backup", "ensure", "playbook", "put back", "pipelines")
    ]
    assert order == ["backup", "ensure", "playbook", "put back", "pipelines"]


def test_a_backup_that_cannot_be_read_stops_before_a_machine_is_made(
    stages: Stages, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise HangarError("There is no backup.")

    monkeypatch.setattr(pipeline.backup, "require", refuse)
    with pytest.raises(HangarError, match="There is no backup"):
        pipeline.up(make_config(), restore="latest")
    assert "ensure" not in stages.calls


def test_data_that_are_there_are_replaced_only_when_somebody_agrees(
    stages: Stages, make_config: Make
) -> None:
    pipeline.up(make_config())
    stages.calls.clear()
    with pytest.raises(NeedsAnswer) as unasked:
        pipeline.up(make_config(), restore="latest")
    assert unasked.value.details == (
        "It would have asked: Replace the data of hangar-local with those of the backup 20261101T031500Z?"
    )
    assert "put back" not in stages.calls


@pytest.mark.parametrize("verb", [pipeline.up, pipeline.plan, pipeline.verify, pipeline.destroy])
def test_one_at_a_time(stages: Stages, make_config: Make, verb: Callable[[Config], object]) -> None:
    config = make_config()
    with pipeline.lock.held("local", "provision.py up local"), pytest.raises(LockHeld):
        verb(config)
    assert stages.calls == []


def test_a_guarded_machine_changes_only_after_asking(
    stages: Stages, make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    stages.cloud.guarded = True
    with pytest.raises(NeedsAnswer) as unasked:
        pipeline.up(make_config())
    assert "Make these changes to hangar-local?" in unasked.value.details
    assert "+ machine hangar-local: create" in capsys.readouterr().out
    assert "ensure" not in stages.calls
    console.configure(yes=True)
    pipeline.up(make_config())
    console.configure()
    assert pipeline.up(make_config()).changed == 3  # nothing to change in the cloud: nothing is asked


def test_a_guarded_machine_is_thrown_away_only_where_that_was_allowed_by_name(
    stages: Stages, make_config: Make
) -> None:
    stages.cloud.guarded = True
    console.configure(yes=True)
    pipeline.up(make_config())
    stages.cloud.recipe = "older"
    with pytest.raises(HangarError) as refused:
        pipeline.up(make_config())
    assert refused.value.resolution == (
        "Take the change back, or allow it: ./provision.py up local --allow-replace"
    )
    pipeline.up(make_config(), allow_replace=True)
    assert stages.cloud.recipe == "r1"


def test_the_clouds_lock_is_held_while_something_changes_and_let_go(
    stages: Stages, make_config: Make
) -> None:
    pipeline.up(make_config(), break_lock=True)
    stages.error = PlaybookFailed("Ansible stopped.")
    with pytest.raises(PlaybookFailed):
        pipeline.up(make_config())
    pipeline.destroy(make_config())
    assert stages.cloud.held == [
        "provision.py up local --break-lock", "let go", "provision.py up local", "let go",
        "provision.py destroy local", "let go",
    ]  # fmt: skip


def test_resize_is_the_machines_part_of_up(stages: Stages, make_config: Make) -> None:
    assert pipeline.resize(make_config()).has_changes
    assert stages.calls == ["prepare", "plan", "ensure", "pin", "ssh_config", "hosts.yml"]
