import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hangar import consent, console, forgetting, paths, pipeline
from hangar.airbyte.records import Step
from hangar.backup.records import Backup
from hangar.config import Config
from hangar.elt.records import Gold, Table
from hangar.errors import (
    CloudError,
    ConfigError,
    HangarError,
    LockHeld,
    MachineMissing,
    NeedsAnswer,
    PlaybookFailed,
)
from hangar.playbook import Recap, TaskRun
from hangar.ssh.tunnel import Forward
from hangar.verification import Promise
from tests.unit.conftest import REPO
from tests.unit.fakes import SERVER, FakeCloud

Make = Callable[..., Config]
PROMISES = (Promise("base", "Time is kept", "held"),)
STEPS = (Step("source", "faker", "nothing"), Step("connection", "faker_to_warehouse", "nothing"))
GOLD = Gold((Table("customers", ("user_id",), 10_000),), "scheduled__1", "2026-11-21T03:00:00Z")
BACKUP = Backup("20261101T031500Z", "hangar-local", "", 1.0, (), {}, (), ())
FORWARDS = (Forward("airflow", 8080, 8080),)


class Stages:
    """Everything around the pipeline, recorded in order; `fail_at` names the stage that breaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = FakeCloud()
        self.calls = self.cloud.calls
        tasks = [
            ("base", 2.0),
            ("hardening_kernel", 1.0),
            ("interlock", 4.0),
            ("hardening_kernel", 0.5),
            ("", 9.0),
        ]
        self.recap = Recap(
            ok=10, changed=3, tasks=tuple(TaskRun(role, "A task", "ok", seconds) for role, seconds in tasks)
        )
        self.error: HangarError | None = None
        monkeypatch.setattr(pipeline, "cloud_for", lambda config: self.cloud)
        monkeypatch.setattr(pipeline, "pin", self._stage("pin", True))
        monkeypatch.setattr(pipeline.client_config, "write", self._stage("ssh_config", None))
        monkeypatch.setattr(pipeline.inventory, "write_hosts", self._stage("hosts.yml", None))
        monkeypatch.setattr(pipeline.playbook, "run", self._playbook)
        monkeypatch.setattr(pipeline.stage, "connected", lambda server: contextlib.nullcontext())
        monkeypatch.setattr(pipeline.stage, "ensure", self._stage("pipelines", STEPS))
        monkeypatch.setattr(pipeline.elt, "connected", lambda server, config: contextlib.nullcontext())
        monkeypatch.setattr(pipeline.first_run, "ensure", self._stage("first run", (GOLD, False)))
        monkeypatch.setattr(pipeline.first_run, "look", self._stage("gold?", GOLD))
        monkeypatch.setattr(pipeline.verification, "verify", self._stage("verify", PROMISES))
        monkeypatch.setattr(pipeline.backup, "require", self._stage("backup", BACKUP))
        monkeypatch.setattr(pipeline.backup, "put_back", self._stage("put back", None))
        monkeypatch.setattr(pipeline.backup, "meet", self._stage("backup's signer", None))
        monkeypatch.setattr(pipeline.tunnel, "ensure", self._stage("tunnel", FORWARDS))
        monkeypatch.setattr(pipeline.tunnel, "current", self._stage("tunnel?", FORWARDS))
        self.tunnel_was_open = True
        monkeypatch.setattr(pipeline.tunnel, "stop", lambda environment: self.tunnel_was_open)
        monkeypatch.setattr(
            pipeline.include, "remove", self._stage("include removed", ["~/.ssh/config.d/hangar-local"])
        )

    def _stage(self, name: str, answer: Any) -> Callable[..., Any]:
        def stage(*_: Any, **__: Any) -> Any:
            self.calls.append(name)
            return answer

        return stage

    def _playbook(self, env: str, **options: Any) -> Recap:
        self.calls.append("playbook --check" if options.get("check") else "playbook")
        if self.error:
            raise self.error
        return self.recap


@pytest.fixture
def stages(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stages]:
    (repo / "pipelines").mkdir()
    shutil.copy(REPO / "pipelines/airbyte.yml", repo / "pipelines")
    yield Stages(monkeypatch)
    console.configure()


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


def test_destroy_leaves_nothing(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    paths.hosts_file("local").write_text("all: {}\n")
    (paths.log_dir("local") / "old.log").touch()
    assert pipeline.destroy(make_config()) == [
        "the forwards", "container hangar-local", "~/.ssh/config.d/hangar-local",
        "inventory/local/hosts.yml", ".hangar/local",
    ]  # fmt: skip
    assert not paths.hosts_file("local").exists()
    assert not paths.state_dir("local").exists()
    assert paths.platform_file("local").exists()


def test_destroy_leaves_backups_and_the_key_that_reads_them(stages: Stages, make_config: Make) -> None:
    pipeline.up(make_config())
    assert forgetting.kept_backups(make_config()) == []
    paths.backups_dir("local").mkdir()
    (paths.backups_dir("local") / "20261101T031500Z.json").touch()
    assert forgetting.kept_backups(make_config()) == [".hangar/local/backups, and the key that reads them"]
    pipeline.destroy(make_config())
    assert sorted(path.name for path in paths.state_dir("local").iterdir()) == [
        "backup-key", "backup-key.pub", "backups",
    ]  # fmt: skip
    assert pipeline.destroy(make_config()) == ["the forwards", "~/.ssh/config.d/hangar-local"]


def test_destroy_leaves_the_only_key_of_backups_that_lie_elsewhere(stages: Stages, make_config: Make) -> None:
    where = "backup.sftp={host: b.example.org, user: u, keeper: k, folder: /b, host_key: [ssh-ed25519 AAAA]}"
    pipeline.up(make_config())
    kept = [".hangar/local/backup-key, the only key that reads its backups"]
    assert forgetting.kept_backups(make_config(where)) == kept
    assert forgetting.kept_backups(make_config(), data_stays=True) == kept
    pipeline.destroy(make_config(where))
    assert sorted(path.name for path in paths.state_dir("local").iterdir()) == [
        "backup-key",
        "backup-key.pub",
    ]


def test_the_key_stays_where_nobody_can_look_for_backups(
    stages: Stages, make_config: Make, tmp_path: Path
) -> None:
    """Their folder may be on a disk that is not there just now; or platform.yml does not say where they are."""
    kept = [".hangar/local/backup-key, the only key that reads its backups"]
    away = make_config(f"backup.folder={tmp_path}/away")
    pipeline.up(away)
    assert forgetting.kept_backups(away) == kept
    pipeline.destroy(away)
    assert forgetting.kept_backups(make_config(), is_unsure=True) == kept
    pipeline.destroy(make_config(), is_unsure=True)
    assert paths.backup_key("local").exists()
    assert forgetting.kept_backups(make_config()) == []
    pipeline.destroy(make_config())
    assert not paths.backup_key("local").exists()


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


def test_destroying_nothing_removes_nothing(stages: Stages, make_config: Make) -> None:
    stages.tunnel_was_open = False
    assert pipeline.destroy(make_config()) == ["~/.ssh/config.d/hangar-local"]
    assert not paths.state_dir("local").exists()


def test_what_destroy_could_not_remove_keeps_its_state(stages: Stages, make_config: Make) -> None:
    """The key and the pinned host keys are needed for another try."""
    pipeline.up(make_config())
    stages.cloud.fail_at = "destroy"
    with pytest.raises(CloudError):
        pipeline.destroy(make_config())
    assert paths.default_private_key("local").exists()


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
