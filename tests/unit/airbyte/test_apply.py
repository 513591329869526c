"""From files to what Airbyte holds, through the agent as it runs on the machine."""

import argparse
import contextlib
import io
import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hangar import console, paths
from hangar.airbyte import apply as work
from hangar.commands import pipelines
from hangar.errors import ConfigError, HangarError, LockHeld, MachineUnreachable, NeedsAnswer
from tests.unit.airbyte.conftest import PASSWORD, MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte

Declare = Callable[..., None]


def call(action: str, *, yes: bool = False, as_json: bool = False, name: str | None = None) -> int:
    args = argparse.Namespace(
        action=action, environment="local", overrides=[], json=as_json, exit_code=True, name=name
    )
    console.configure(json=as_json, yes=yes)
    try:
        return pipelines.run(args)
    finally:
        console.configure()


def held(airbyte: FakeAirbyte) -> tuple[list[str], ...]:
    return tuple(airbyte.names(kind) for kind in ("sources", "destinations", "connections"))


@pytest.fixture
def applied(declare: Declare, machine: MachineHere, airbyte: FakeAirbyte) -> FakeAirbyte:
    assert call("apply") == 0
    airbyte.requests.clear()
    return airbyte


def test_a_plan_shows_what_is_missing_and_changes_nothing(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("plan") == 4
    assert capsys.readouterr().out == (
        "+ source people: create  (faker)\n"
        "+ destination warehouse: create  (postgres)\n"
        "+ connection people_to_warehouse: create  (people → warehouse)\n"
        "Make it so: ./provision.py pipelines apply local\n"
    )
    assert airbyte.changes() == []
    assert not machine.ledger.exists()


def test_what_is_declared_is_made_and_the_second_time_nothing_is_changed(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("apply") == 0
    assert held(airbyte) == (["people"], ["warehouse"], ["people_to_warehouse"])
    destination = next(iter(airbyte.held["destinations"].values()))["configuration"]
    assert destination == {
        "host": "db", "port": 8080, "password": PASSWORD, "destinationType": "postgres", "filled_in": True,
    }  # fmt: skip
    connection = next(iter(airbyte.held["connections"].values()))
    assert connection["schedule"] == {"scheduleType": "manual"}
    assert connection["configurations"]["streams"] == [
        {"name": "users", "syncMode": "incremental_deduped_history", "cursorField": ["updated_at"],
         "primaryKey": [["id"]]}
    ]  # fmt: skip
    capsys.readouterr()
    airbyte.requests.clear()
    assert call("apply") == 0
    assert "Nothing to do.\n" in capsys.readouterr().out
    assert airbyte.changes() == []
    assert call("plan") == 0


def test_the_secret_is_seen_by_airbyte_alone(
    declare: Declare,
    machine: MachineHere,
    airbyte: FakeAirbyte,
    capfd: pytest.CaptureFixture[str],
    repo: Path,
) -> None:
    airbyte.unmasked = True  # an Airbyte that shows what it should not
    call("apply")
    call("plan", as_json=True)
    said = capfd.readouterr()
    assert any(body and PASSWORD in str(body.get("configuration")) for _, _, body in airbyte.requests)
    written = [path for path in repo.rglob("*") if path.is_file()]
    holding = [path.name for path in written if "word/of the warehouse" in path.read_text(errors="replace")]
    assert holding == ["warehouse_password"]
    assert "of the warehouse" not in said.out + said.err
    assert machine.ledger.stat().st_mode & 0o777 == 0o600


def test_options_that_differ_are_shown_and_changed(
    applied: FakeAirbyte, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    end = "    destination: warehouse\n"
    declare(
        ("count: 100, seed: 1", "count: 250"), ("port: {setting: airflow.port}", "port: 5432"),
        (end, f"{end}    schedule: 0 30 4 * * ?\n    prefix: p_\n"),
    )  # fmt: skip
    capsys.readouterr()
    assert call("plan") == 4
    assert capsys.readouterr().out == (
        "~ source people: update\n"
        "    configuration.count: 100 → 250\n"
        "    configuration.seed: 1 → —\n"
        "~ destination warehouse: update\n"
        "    configuration.port: 8080 → 5432\n"
        "~ connection people_to_warehouse: update\n"
        "    schedule: manual → 0 30 4 * * ?\n"
        '    prefix: "" → p_\n'
        "Make it so: ./provision.py pipelines apply local\n"
    )
    before = {kind: list(there) for kind, there in applied.held.items()}
    assert call("apply") == 0
    assert {kind: list(there) for kind, there in applied.held.items()} == before
    assert next(iter(applied.held["sources"].values()))["configuration"] == {
        "count": 250, "sourceType": "faker", "filled_in": True,
    }  # fmt: skip
    schedule = next(iter(applied.held["connections"].values()))["schedule"]
    assert schedule == {"scheduleType": "cron", "cronExpression": "0 30 4 * * ?"}
    assert call("plan") == 0


def test_what_somebody_changed_in_airbyte_is_changed_back(
    applied: FakeAirbyte, capsys: pytest.CaptureFixture[str]
) -> None:
    source = next(iter(applied.held["sources"].values()))
    source["configuration"]["count"] = 7
    connection = next(iter(applied.held["connections"].values()))
    connection["status"] = "inactive"
    connection["configurations"]["streams"].append({"name": "products", "syncMode": "full_refresh_append"})
    capsys.readouterr()
    assert call("apply") == 0
    out = capsys.readouterr().out
    assert "    configuration.count: 7 → 100\n" in out
    assert "    enabled: false → true\n" in out
    assert "    streams.products.sync_mode: full_refresh_append → —\n" in out
    assert call("plan") == 0


def test_a_secret_that_changes_is_given_to_airbyte_again(
    applied: FakeAirbyte, machine: MachineHere, capsys: pytest.CaptureFixture[str]
) -> None:
    (machine.folder / "warehouse_password").write_text("rotated")
    capsys.readouterr()
    assert call("plan") == 4
    shown = "configuration.password: secret warehouse → secret warehouse, whose value has changed"
    assert shown in capsys.readouterr().out
    assert call("apply") == 0
    assert next(iter(applied.held["destinations"].values()))["configuration"]["password"] == "rotated"
    assert call("plan") == 0


def test_what_left_the_files_goes_with_consent_alone(
    applied: FakeAirbyte, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(text="sources:\n  people: {connector: faker, configuration: {count: 100, seed: 1}}\n")
    with pytest.raises(NeedsAnswer) as asked:
        call("apply")
    assert asked.value.details == (
        "It would have asked: Remove connection people_to_warehouse, destination warehouse? "
        "The data that was moved stays; what was synced last is forgotten."
    )
    assert applied.changes() == []
    assert call("apply", yes=True) == 0
    assert held(applied) == (["people"], [], [])
    assert [path for _, path in applied.changes()] == ["/connections/ID", "/destinations/ID"]


def test_what_others_made_stays(applied: FakeAirbyte, declare: Declare) -> None:
    applied.held["sources"]["other"] = {
        "sourceId": "other", "name": "theirs", "sourceType": "faker", "configuration": {}, "createdAt": 1,
        "definitionId": "d", "workspaceId": "w",
    }  # fmt: skip
    declare(text="sources: {}\n")
    assert call("apply", yes=True) == 0
    assert held(applied) == (["theirs"], [], [])


def test_a_source_that_a_connection_of_others_uses_is_not_removed(
    applied: FakeAirbyte, declare: Declare
) -> None:
    ours = next(iter(applied.held["connections"].values()))
    applied.held["connections"]["other"] = {**ours, "connectionId": "other", "name": "theirs"}
    declare(text="sources: {}\n")
    with pytest.raises(HangarError) as refused:
        call("apply", yes=True)
    assert refused.value == HangarError(
        "The connection theirs, which was not made from the files, uses the source people, which is to be removed.",
        "* other",
        "Remove that connection in Airbyte first, or keep the source people.",
    )
    assert applied.changes() == []


def test_another_connector_means_anew_for_it_and_what_uses_it(
    applied: FakeAirbyte, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    declare(("people: {connector: faker", "people: {connector: http"))
    capsys.readouterr()
    assert call("apply", yes=True) == 0
    out = capsys.readouterr().out
    assert "± source people: replace\n    connector: faker → http\n" in out
    assert "± connection people_to_warehouse: replace\n    source: people → people, made anew\n" in out
    assert held(applied) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert call("plan") == 0


def test_what_was_made_by_hand_is_taken_over_with_consent_alone(
    applied: FakeAirbyte, machine: MachineHere, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.ledger.unlink()
    capsys.readouterr()
    with pytest.raises(NeedsAnswer, match="needs an answer"):
        call("apply")
    assert "~ source people: take over (it was not made from the files)\n" in capsys.readouterr().out
    assert call("apply", yes=True) == 0
    assert held(applied) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert call("plan") == 0


def test_two_of_one_name_that_others_made_are_told_apart_by_nobody(
    applied: FakeAirbyte, machine: MachineHere
) -> None:
    machine.ledger.unlink()
    (id, one), *_ = applied.held["sources"].items()
    applied.held["sources"]["second"] = {**one, "sourceId": "second"}
    with pytest.raises(HangarError) as refused:
        call("apply", yes=True)
    assert refused.value == HangarError(
        "Airbyte has 2 sources called people, and none was made from the files.",
        f"* {id}\n* second",
        "Rename or remove all but one of them in Airbyte, or give this one another name.",
    )


def test_what_airbyte_would_refuse_comes_to_light_before_anything_is_changed(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    declare(
        ("count: 100", "count: many"), ("connector: postgres", "connector: postgress"),
        ("connections:", "  other: {connector: postgres, configuration: {}}\nconnections:"),
    )  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        call("apply")
    assert refused.value.details == (
        "sources.people: Airbyte refuses it: $.count: string found, integer expected (many)\n"
        "destinations.warehouse: Airbyte refuses it: there is no connector postgress"
    )
    assert refused.value.exit_code == 2
    assert held(airbyte) == ([], [], [])
    assert json.loads(machine.ledger.read_text())["entries"] == {}


def test_a_connection_that_airbyte_would_refuse_leaves_the_one_that_is_there(
    applied: FakeAirbyte, declare: Declare, machine: MachineHere
) -> None:
    before = json.dumps(applied.held, sort_keys=True)
    applied.prefixes = re.compile("[a-z]*")
    end = "    destination: warehouse\n"
    declare((end, f"{end}    prefix: A\n"), ("{connector: faker", "{connector: http"))
    with pytest.raises(ConfigError) as refused:
        call("apply", yes=True)
    assert refused.value.details == "connections.people_to_warehouse: Airbyte refuses it: prefix is A"
    assert json.dumps(applied.held, sort_keys=True) == before
    tried = [body for method, path, body in applied.requests if (method, path) == ("POST", "/connections")]
    assert [(one["name"], one["status"]) for one in tried] == [
        ("hangar-probe people_to_warehouse", "inactive")
    ]


def test_a_connection_left_from_a_killed_try_stands_in_nobodys_way(
    applied: FakeAirbyte, declare: Declare, machine: MachineHere
) -> None:
    second = "connections:\n  second:\n    source: people\n    destination: warehouse\n    streams:\n"
    declare(("connections:", f"{second}      products: {{sync_mode: full_refresh_append}}"))
    applied.interrupt = lambda write, first=applied.writes + 1: write == first  # type: ignore[misc]
    with pytest.raises(MachineUnreachable):
        call("apply")
    applied.interrupt = lambda write: False
    assert applied.names("connections") == ["hangar-probe second", "people_to_warehouse"]
    declare(text="sources: {}\n")
    assert call("plan") == 4
    assert call("apply", yes=True) == 0
    assert held(applied) == ([], [], [])
    assert json.loads(machine.ledger.read_text())["entries"] == {}


def test_a_source_that_cannot_reach_what_it_reads_is_told_without_its_secret(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    airbyte.broken_sources["api_key"] = "cannot log in to https://x:{api_key}@api"
    (machine.secrets / "key").write_text("quite-secret")
    declare(("count: 100, seed: 1", "api_key: {secret: key}"))
    with pytest.raises(ConfigError) as refused:
        call("apply")
    assert refused.value.details == (
        "sources.people: its connector fails: cannot log in to https://x:(secret key)@api"
    )
    assert held(airbyte) == ([], [], [])


def test_streams_that_the_source_does_not_offer(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    declare(("      users: {sync_mode: incremental_deduped_history, cursor: updated_at, primary_key: [id]}", """\
      usrs: {sync_mode: full_refresh_append}
      users: {sync_mode: incremental_update, cursor: changed_at}
      products: {sync_mode: incremental_deduped_history}"""))  # fmt: skip
    with pytest.raises(ConfigError) as refused:
        call("apply")
    at = "connections.people_to_warehouse.streams."
    assert refused.value.details.splitlines() == [
        f'{at}usrs: the source people has no such stream; did you mean "users"?',
        f'{at}users.sync_mode: "incremental_update" is not offered; one of full_refresh_overwrite, '
        "full_refresh_append, incremental_append, incremental_deduped_history would be right",
        f'{at}users.cursor: there is no column "changed_at"; did you mean "updated_at"?',
        f"{at}products.cursor: is missing, and the source has none of its own; a column would be right",
        f"{at}products.primary_key: is missing, and the source has none of its own; columns would be right",
    ]
    assert held(airbyte) == ([], [], [])


def test_a_secret_that_is_not_on_the_machine(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    declare(("{secret: warehouse}", "{secret: warehous}"))
    with pytest.raises(HangarError) as refused:
        call("apply")
    assert refused.value == HangarError(
        "A secret is not on the machine; nothing was changed.",
        "destinations.warehouse.configuration.password: names the secret warehous",
        "Put it there: ./provision.py pipelines secret local --name warehous < FILE",
    )
    assert airbyte.changes() == []


def test_a_secret_that_secret_manager_has_comes_with_up(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    declare(("{secret: warehouse}", "{secret: warehous}"))
    paths.platform_file("local").write_text(
        "cloud: gcp\ngcp: {project: acme-data-1, zone: europe-west6-a}\nsecrets: {source: secret_manager}\n"
    )
    with pytest.raises(HangarError) as refused:
        call("apply")
    assert refused.value.resolution == (
        "Have the machine read it from Secret Manager: ./provision.py up local"
    )
    assert airbyte.changes() == []


def test_a_secret_is_handed_in_and_used(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(("{secret: warehouse}", "{secret: mine}"))
    monkeypatch.setattr(sys, "stdin", io.StringIO("handed in\n"))
    assert call("secret", name="mine") == 0
    assert (machine.secrets / "mine").stat().st_mode & 0o777 == 0o600
    assert call("apply") == 0
    assert next(iter(airbyte.held["destinations"].values()))["configuration"]["password"] == "handed in"


def test_a_secret_of_the_machines_own_cannot_be_replaced(
    declare: Declare, machine: MachineHere, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("mine"))
    with pytest.raises(HangarError) as refused:
        call("secret", name="warehouse")
    assert refused.value.brief == "The secret was not kept."
    assert "warehouse is made on the machine and kept in" in refused.value.details


def test_a_token_that_runs_out_is_renewed(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    airbyte.token_uses = 2
    assert call("apply") == 0
    assert held(airbyte) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert [path for _, path, _ in airbyte.requests].count("/applications/token") > 3


def test_a_client_that_airbyte_does_not_know(declare: Declare, machine: MachineHere) -> None:
    (machine.folder / "client_secret").write_text("wrong")
    with pytest.raises(HangarError) as refused:
        call("plan")
    assert refused.value == HangarError(
        "Airbyte on hangar-local does not know the machine's own client.",
        "no such application",
        "Have it mended: ./provision.py up local",
    )


def test_a_machine_without_airbyte(declare: Declare, machine: MachineHere) -> None:
    machine.settings.unlink()
    with pytest.raises(HangarError) as refused:
        call("plan")
    assert refused.value == HangarError(
        "hangar-local has no Airbyte.",
        f"* Not there: {machine.settings}",
        "Have it installed: ./provision.py up local",
    )


def test_an_airbyte_that_does_not_answer(declare: Declare, machine: MachineHere) -> None:
    machine.write("http://127.0.0.1:9/api/public/v1")
    with pytest.raises(MachineUnreachable) as refused:
        call("plan")
    assert refused.value.brief == "Airbyte on hangar-local does not answer (to list workspaces)."
    assert "Connection refused" in refused.value.details
    assert refused.value.resolution == "See what it says: ./provision.py logs airbyte local"


def test_several_workspaces_and_none_named(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    airbyte.workspaces.append({**airbyte.workspaces[0], "workspaceId": "w2", "name": "Second"})
    with pytest.raises(HangarError) as refused:
        call("plan")
    assert refused.value == HangarError(
        "Airbyte has 2 workspaces, and the files name none.",
        "* There are: Default, Second",
        "Name one in pipelines/airbyte.yml: workspace: NAME",
    )
    declare(("sources:", "workspace: Second\nsources:"))
    assert call("plan") == 4


def test_many_pages_are_read_to_the_end(applied: FakeAirbyte) -> None:
    (_, one), *_ = applied.held["sources"].items()
    applied.held["sources"] = {
        **{f"other-{n}": {**one, "sourceId": f"other-{n}", "name": f"other-{n}"} for n in range(230)},
        **applied.held["sources"],
    }
    assert call("plan") == 0


def test_two_applies_at_once(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte, monkeypatch: pytest.MonkeyPatch
) -> None:
    with machine.session() as first, impatient(machine, monkeypatch) as second:
        first.ask("open", "to begin", who="`provision.py pipelines apply local` (ann@desk, since 10:00:00)")
        with pytest.raises(LockHeld) as refused:
            second.ask("open", "to begin", who="me")
    assert refused.value == LockHeld(
        "The pipelines on hangar-local are locked: `provision.py pipelines apply local` "
        "(ann@desk, since 10:00:00) is at work.",
        resolution="Wait for it.",
    )


def impatient(machine: MachineHere, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A session whose agent waits a moment only."""
    monkeypatch.setattr(
        "hangar.agents.BOOT",
        "import json,sys;exec(compile(json.loads(sys.stdin.readline())"
        ".replace('PATIENCE = 20.0','PATIENCE = 0.1'),'agent','exec'))",
    )
    return machine.session()


@pytest.mark.parametrize("number", range(1, 10))
def test_airbyte_dies_at_any_write_and_the_next_apply_ends_right(
    number: int, declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    airbyte.interrupt = lambda write: write == number
    with contextlib.suppress(MachineUnreachable):  # where fewer writes than this are made
        call("apply")
    airbyte.interrupt = lambda write: False
    assert call("apply") == 0
    assert held(airbyte) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert sorted(json.loads(machine.ledger.read_text())["entries"]) == [
        "connection/people_to_warehouse", "destination/warehouse", "source/people",
    ]  # fmt: skip
    assert call("plan") == 0


@pytest.mark.parametrize("number", range(1, 10))
def test_the_machines_end_is_killed_at_any_write_and_the_next_apply_ends_right(
    number: int, declare: Declare, machine: MachineHere, airbyte: FakeAirbyte, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill(write: int) -> bool:
        if write == number:
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            agents = [int(one) for one in children if b"agent" in Path(f"/proc/{one}/cmdline").read_bytes()]
            assert len(agents) == 1
            os.kill(agents[0], signal.SIGKILL)
        return write == number

    airbyte.interrupt = kill
    with contextlib.suppress(MachineUnreachable):
        call("apply")
    airbyte.interrupt = lambda write: False
    assert call("apply") == 0
    assert held(airbyte) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert call("plan") == 0


@pytest.mark.parametrize("number", [1, 2, 3])
def test_interrupted_between_two_steps_the_next_apply_goes_on(
    number: int, declare: Declare, machine: MachineHere, airbyte: FakeAirbyte, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = work.apply

    def interrupted(steps: Any, world: Any, client: Any, report: Any) -> None:
        def stop(name: str, done: int, total: int) -> None:
            if done == number:
                raise KeyboardInterrupt

        original(steps, world, client, stop)

    monkeypatch.setattr(work, "apply", interrupted)
    with pytest.raises(KeyboardInterrupt):
        call("apply")
    monkeypatch.setattr(work, "apply", original)
    assert call("apply") == 0
    assert held(airbyte) == (["people"], ["warehouse"], ["people_to_warehouse"])


def test_the_answer_for_programs(
    declare: Declare, machine: MachineHere, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("apply", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["changes"][0] == {
        "kind": "source", "name": "people", "action": "create", "fields": [],
    }  # fmt: skip
