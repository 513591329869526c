"""From files to what Airbyte holds, through the agent as it runs on the machine."""

import json
from pathlib import Path

import pytest

from hangar.errors import HangarError, NeedsAnswer
from tests.unit.airbyte.calls import Declare, call, held
from tests.unit.airbyte.conftest import PASSWORD, MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte


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


def test_a_secret_that_is_an_ordinary_word_changes_no_name_of_a_stream(
    declare: Declare, machine: MachineHere, airbyte: FakeAirbyte
) -> None:
    (machine.folder / "warehouse_password").write_text("user")
    assert call("apply") == 0
    assert held(airbyte)[2] == ["people_to_warehouse"]


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
    connection["name"], name = "renamed in its pages", connection["name"]
    connection["configurations"]["streams"].append({"name": "products", "syncMode": "full_refresh_append"})
    capsys.readouterr()
    assert call("apply") == 0
    out = capsys.readouterr().out
    assert "    configuration.count: 7 → 100\n" in out
    assert "    enabled: false → true\n" in out
    assert f"    name: renamed in its pages → {name}\n" in out
    assert [one["name"] for one in applied.held["connections"].values()] == [name]
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


@pytest.mark.parametrize(("mode", "said"), [
    ("incremental_append", "is forgotten, and a connection in its place appends every row once more."),
    ("incremental_deduped_history", "is forgotten."),
])  # fmt: skip
def test_a_connection_with_a_new_name_is_said_to_append_every_row_once_more(
    applied: FakeAirbyte, declare: Declare, mode: str, said: str
) -> None:
    declare(("incremental_deduped_history", mode))
    assert call("apply") == 0
    declare(("people_to_warehouse", "renamed"), ("incremental_deduped_history", mode))
    with pytest.raises(NeedsAnswer) as asked:
        call("apply")
    assert asked.value.details.endswith(said)


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


def test_the_answer_for_programs(
    declare: Declare, machine: MachineHere, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("apply", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["changes"][0] == {
        "kind": "source", "name": "people", "action": "create", "fields": [],
    }  # fmt: skip
