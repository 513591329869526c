"""The order of a rotation, what it waits for, and what it calls done."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from hangar import agents, cli
from hangar.commands import rotate as verb
from hangar.commands._machine import Machine
from hangar.config import Config
from hangar.errors import CommandFailed, HangarError, MachineUnreachable, PromiseBroken
from hangar.paths import REPO
from hangar.rotation import catalogue, rotate
from tests.matrix.test_rotation import PLACES
from tests.unit.fakes import SERVER, FakeCloud

Make = Callable[..., Config]
GOOD = {"new": True, "old": False, "changed": True, "tried": True}


class Conversation:
    """The machine's end, played: remembers what it was asked and answers as told."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.found: dict[str, bool] = GOOD
        self.fail_at = ""
        self.gone_at = ""
        self.busy: list[list[dict[str, str]]] = []

    def ask(self, line: str) -> str:
        request = json.loads(line)
        words = " ".join(request.get("argv", ())) or request["op"]
        self.asked.append(words)
        if words == self.gone_at:
            raise CommandFailed("ssh failed.", "* Exit status: 255")
        if words == self.fail_at:
            return json.dumps({"error": {"kind": "failed", "text": "* Command: …\nno room"}})
        return json.dumps({"ok": self.found if request["op"] == "prove" else None})

    def airflow(self, method: str, path: str, what: str) -> dict[str, Any]:
        self.asked.append("tasks?")
        return {"task_instances": self.busy.pop(0) if self.busy else []}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Conversation:
    talk = Conversation()
    monkeypatch.setattr(agents, "started", lambda *_: contextlib.nullcontext(talk))
    monkeypatch.setattr(agents.paths, "log_dir", lambda env: agents.paths.REPO)
    monkeypatch.setattr(rotate.elt, "connected", lambda *_: contextlib.nullcontext(talk))
    monkeypatch.setattr(rotate, "BETWEEN_LOOKS", 0.0)
    monkeypatch.setattr(rotate.stage, "connected", lambda server: contextlib.nullcontext())
    monkeypatch.setattr(rotate.stage, "ensure", lambda *_: talk.asked.append("pipelines"))
    return talk


def turn(name: str, config: Config, *, now: bool = False, said: list[str] | None = None) -> bool:
    (secret,) = [one for one in catalogue.secrets(config) if one.name == name]
    words = [] if said is None else said
    return rotate.rotate(secret, SERVER, config, object(), lambda text, *_: words.append(text), now=now)  # type: ignore[arg-type] # is only handed on


def test_airbytes_token_reaches_airflow_and_is_proven(machine: Conversation, make_config: Make) -> None:
    turn("airbyte-token", make_config())
    assert machine.asked == [
        "remember", "airbyte-secrets renew airflow", "airflow-secrets ensure", "prove",
    ]  # fmt: skip


def test_airbyte_is_told_the_password_of_its_account(machine: Conversation, make_config: Make) -> None:
    turn("warehouse-airbyte", make_config())
    assert machine.asked == ["remember", "warehouse password airbyte", "pipelines", "prove"]


def test_what_restarts_airflow_waits_for_its_tasks(machine: Conversation, make_config: Make) -> None:
    machine.busy = [[{"dag_id": "elt", "task_id": "build"}]] * 2
    said: list[str] = []
    turn("airflow-keys", make_config(), said=said)
    assert said[:3] == ["wait until no task runs", "wait for elt.build", "mark what is to be restarted"]
    assert machine.asked == [
        "remember", "tasks?", "tasks?", "tasks?",
        "as-service airflow touch /srv/airflow/state/settings-changed",
        "airflow-secrets renew jwt_secret", "airflow-secrets renew api_secret_key",
        "as-service airflow /srv/airflow/stack/ensure", "prove",
    ]  # fmt: skip


def test_what_is_to_be_restarted_is_marked_before_the_secret_changes(make_config: Make) -> None:
    """Whoever comes after a kill, `rotate` or `up`, restarts it."""
    ours = [secret for secret in catalogue.secrets(make_config()) if secret.name.startswith("airflow-")]
    changed: dict[str, int] = {}
    for secret in ours:
        is_marked = is_due = False
        for word in (" ".join(step.run) for step in secret.steps):
            if "-changed" in word:
                is_marked = True
            elif word.startswith("airflow-secrets"):
                assert is_marked, f"{secret.name}: {word}"
                changed[secret.name] = changed.get(secret.name, 0) + 1
                is_due = True
            elif word.endswith("stack/ensure"):  # which takes the mark away
                is_marked = is_due = False
        assert not is_due, f"{secret.name}: nothing restarts it in the end"
    assert changed == {"airflow-admin": 1, "airflow-keys": 2, "airflow-fernet": 2, "airflow-database": 1}


def test_tasks_that_do_not_end_stop_it_before_anything_changes(
    machine: Conversation, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rotate, "QUIET", 0.0)
    machine.busy = [[{"dag_id": "elt", "task_id": "sync"}]]
    with pytest.raises(HangarError) as busy:
        turn("airflow-database", make_config())
    again = "./provision.py rotate airflow-database local"
    assert busy.value == HangarError(
        "Tasks still run after 0 minutes; a restart would end them.", "* elt.sync",
        f"Wait for them, then: {again}\nOr end them, to be tried again as their DAGs say: {again} --now",
    )  # fmt: skip
    assert machine.asked == ["remember", "tasks?"]
    machine.asked.clear()
    turn("airflow-database", make_config(), now=True)
    assert "tasks?" not in machine.asked


def test_a_step_that_fails_names_the_command_that_goes_on(machine: Conversation, make_config: Make) -> None:
    machine.fail_at = "warehouse password dbt"
    with pytest.raises(HangarError) as failed:
        turn("warehouse-dbt", make_config())
    assert failed.value == HangarError(
        "The rotation stopped (to make a new password).", "* Command: …\nno room",
        "It goes on from there: ./provision.py rotate warehouse-dbt local",
    )  # fmt: skip
    assert machine.asked[-1] == "warehouse password dbt"


def test_a_machine_that_goes_away(machine: Conversation, make_config: Make) -> None:
    machine.gone_at = "airflow-secrets ensure"
    with pytest.raises(MachineUnreachable, match="hangar-local stopped answering"):
        turn("airbyte-token", make_config())


@pytest.mark.parametrize(("found", "words"), [
    ({"new": False, "old": False, "changed": True}, "the new one is refused"),
    ({"new": True, "old": True, "changed": True}, "the old one is still let in"),
    ({"new": True, "old": False, "changed": False}, "it is the same as before"),
])  # fmt: skip
def test_a_change_that_is_not_proven_is_not_called_done(
    machine: Conversation, make_config: Make, found: dict[str, bool], words: str
) -> None:
    machine.found = found
    with pytest.raises(PromiseBroken) as broken:
        turn("airbyte-token", make_config())
    assert broken.value.brief == f"airbyte-token was made anew, but {words}."
    assert broken.value.exit_code == 3


def test_every_secret_is_rotated_under_a_running_dag_and_stands_in_the_guide(make_config: Make) -> None:
    names = [one.name for one in catalogue.secrets(make_config())]
    assert sorted(names) == sorted(PLACES), "tests/matrix/test_rotation.py rotates others"
    listed: list[str] = []
    for row in re.findall(r"^\| (`.*?`) \|", (REPO / "docs/rotation.md").read_text(), re.M):
        first, *more = re.findall(r"`([a-z-]+)`", row)
        listed += [first, *(first.split("-")[0] + name for name in more)]
    assert sorted(listed) == sorted(names)


def test_a_machine_without_a_warehouse_has_none_of_its_accounts(make_config: Make) -> None:
    names = {
        one.name for one in catalogue.secrets(make_config("warehouse.enabled=false", "airbyte.enabled=false"))
    }
    assert names == {
        "airflow-admin", "airflow-keys", "airflow-fernet", "airflow-database", "monitoring-admin", "monitoring-scraper",
    }  # fmt: skip
    assert "airbyte-token" in {one.name for one in catalogue.secrets(make_config("warehouse.enabled=false"))}


def test_airbytes_platform_keeps_its_administrators_secret(make_config: Make) -> None:
    """What Airbyte does not renew alone is not offered; tokens that the platform gave live on for a while."""
    platform = make_config("airbyte.engine=abctl", f"airbyte.abctl.sha256={'a' * 64}")
    found = {one.name: one.effect for one in catalogue.secrets(platform)}
    assert "airbyte-operator" not in found
    assert found["airbyte-token"] == "nothing restarts; tokens of the old one end within 15 minutes"
    usual = {one.name: one.effect for one in catalogue.secrets(make_config())}
    assert "airbyte-operator" in usual
    assert usual["airbyte-token"] == "nothing restarts; tokens of the old one end at once"


def test_airflows_secret_is_tried_where_it_is_known(make_config: Make) -> None:
    """The platform itself knows its administrator alone; the filter in front of it knows Airflow."""
    ports = {
        engine: {one.name: one.proof.get("port") for one in catalogue.secrets(make_config(*settings))}
        for engine, settings in {
            "abctl": (
                "airbyte.engine=abctl",
                f"airbyte.abctl.sha256={'a' * 64}",
                "airbyte.abctl.filter_port=8011",
            ),
            "embedded": ("airbyte.port=8010",),
        }.items()
    }
    assert (ports["abctl"]["airbyte-token"], ports["embedded"]["airbyte-token"]) == (8011, 8010)


def test_the_list_is_for_people_and_for_programs(
    make_config: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    make_config()
    assert cli.main(["rotate", "--list"]) == 0
    assert "warehouse-reader    the account that reads gold" in capsys.readouterr().out
    assert cli.main(["rotate", "--list", "local", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert listed[0]["name"] == "airbyte-token"
    assert set(listed[0]) == {"name", "what", "effect"}


@pytest.mark.parametrize(("words", "said"), [
    (["rotate", "nothing"], "error: There is no secret nothing on this machine."),
    (["rotate"], "error: Which secret?"),
])  # fmt: skip
def test_a_secret_that_is_not_there(
    make_config: Make, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    make_config()
    assert cli.main(words) == 1
    shown = capsys.readouterr().err
    assert said in shown
    assert "* There are: airbyte-token, airbyte-operator, warehouse-airbyte" in shown
    assert "./provision.py rotate --list local" in shown


def test_the_verb_reads_as_it_is_documented() -> None:
    args = cli.parse("rotate", verb, ["airbyte-token", "sandbox", "--now"])
    assert (args.name, args.environment, args.now) == ("airbyte-token", "sandbox", True)


def test_the_lock_of_a_dead_call_can_be_broken(
    machine: Conversation, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the refusal of a lock that another computer has says."""
    cloud, there = FakeCloud(), Machine(SERVER, make_config())
    monkeypatch.setattr("hangar.cloud.cloud_for", lambda settings: cloud)
    monkeypatch.setattr("hangar.commands._machine.reach", lambda args: there)
    monkeypatch.setattr("hangar.pipeline.declared_pipelines", lambda settings: None)
    assert cli.main(["rotate", "airbyte-token", "local", "--break-lock"]) == 0
    assert cloud.held == ["provision.py rotate airbyte-token local --break-lock", "let go"]


@pytest.mark.parametrize(("tried", "said"), [
    (True, "airbyte-token is new; the old one is refused. Effect: "),
    (False, "airbyte-token is new; there was no old one that could be tried. Effect: "),
])  # fmt: skip
def test_what_was_not_tried_is_not_called_refused(
    machine: Conversation, make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    tried: bool, said: str,
) -> None:  # fmt: skip
    there = Machine(SERVER, make_config())
    monkeypatch.setattr("hangar.cloud.cloud_for", lambda settings: FakeCloud())
    monkeypatch.setattr("hangar.commands._machine.reach", lambda args: there)
    monkeypatch.setattr("hangar.pipeline.declared_pipelines", lambda settings: None)
    machine.found = {**GOOD, "tried": tried}
    assert cli.main(["rotate", "airbyte-token", "local"]) == 0
    assert said in capsys.readouterr().out
