"""What cannot be: it comes to light before anything is changed, and no secret with it."""

import io
import json
import re
import sys

import pytest

from hangar import paths
from hangar.errors import ConfigError, HangarError, MachineUnreachable
from tests.unit.airbyte.calls import Declare, call, held
from tests.unit.airbyte.conftest import MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte


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
