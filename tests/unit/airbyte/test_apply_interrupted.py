"""An Airbyte or a machine that is away, locked, or dies: what is told, and the next call goes on from there."""

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from hangar.airbyte import apply as work
from hangar.errors import HangarError, LockHeld, MachineUnreachable
from tests.unit.airbyte.calls import Declare, call, held
from tests.unit.airbyte.conftest import MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte


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
