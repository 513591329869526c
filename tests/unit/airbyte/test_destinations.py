"""A destination on Airbyte's platform, tried before anything is changed: its public API has no check of one."""

import json
from typing import Any

import pytest

from hangar.errors import ConfigError, HangarError
from tests.unit.airbyte.calls import Declare, call, held
from tests.unit.airbyte.conftest import MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte

CHECK = ("POST", "/api/v1/destinations/check_connection")


@pytest.fixture
def platform(machine: MachineHere, airbyte: FakeAirbyte) -> FakeAirbyte:
    """What the role airbyte_abctl writes beside: the configuration API."""
    machine.write(airbyte.url, configuration_url=airbyte.url.replace("public/", ""))
    return airbyte


def test_a_destination_that_the_platform_cannot_reach_leaves_everything_as_it_is(
    platform: FakeAirbyte, declare: Declare
) -> None:
    assert call("apply") == 0
    before = json.dumps(platform.held)
    platform.broken_destinations = {"host": "FATAL: password {password} refused by {host}"}
    declare(("host: db", "host: other"), ("streams:", "prefix: new_\n    streams:"))
    with pytest.raises(ConfigError) as refused:
        call("apply")
    assert [str(problem) for problem in refused.value.problems] == [
        "destinations.warehouse: its connector fails: FATAL: password (secret warehouse) refused by other"
    ]
    assert json.dumps(platform.held) == before


def test_a_destination_is_checked_once_before_anything_is_changed(
    platform: FakeAirbyte, declare: Declare
) -> None:
    assert call("apply") == 0
    assert held(platform) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert platform.changes().count(CHECK) == 1
    bodies = [body for _, path, body in platform.requests if path == CHECK[1]]
    (made,) = platform.held["destinations"]
    assert [set(body) for body in bodies] == [{"destinationId"}]
    assert bodies[0]["destinationId"] != made, "it was the probe"
    platform.requests.clear()
    assert call("apply") == 0
    assert platform.changes() == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"jobInfo": {"succeeded": False, "failureReason": {"externalMessage": "The image cannot be fetched."}}},
         "The image cannot be fetched."),
        ({"jobInfo": {"succeeded": False, "failureReason": {"internalMessage": "no pod"}}}, "no pod"),
        ({"jobInfo": {"succeeded": False}}, "Airbyte says no more"),
        ({"jobInfo": {"succeeded": True}, "status": "failed"}, "Airbyte says no more"),
    ],
)  # fmt: skip
def test_a_check_that_could_not_be_made_is_none_that_passed(
    platform: FakeAirbyte, declare: Declare, answer: dict[str, Any], said: str
) -> None:
    platform.check = (200, answer)
    with pytest.raises(ConfigError) as refused:
        call("apply")
    assert [str(problem) for problem in refused.value.problems] == [
        f"destinations.warehouse: its connector fails: {said}"
    ]
    assert held(platform) == ([], [], [])


def test_a_platform_that_fails_over_the_check_is_no_fault_of_the_files(
    platform: FakeAirbyte, declare: Declare
) -> None:
    platform.check = (500, {"detail": "out of order"})
    with pytest.raises(HangarError) as refused:
        call("apply")
    assert (refused.value.brief, refused.value.details) == (
        "Airbyte refused to check the destination.", "out of order (HTTP 500)"
    )  # fmt: skip
    assert held(platform) == ([], [], [])


def test_a_release_without_the_check_is_told_and_goes_on(
    platform: FakeAirbyte, declare: Declare, capsys: pytest.CaptureFixture[str]
) -> None:
    platform.check = (404, {"detail": "Page not found"})
    assert call("apply") == 0
    assert held(platform) == (["people"], ["warehouse"], ["people_to_warehouse"])
    said = "Airbyte has no check of destinations any more: the first sync tries warehouse."
    assert said in capsys.readouterr().err


def test_the_embedded_engine_is_not_asked_twice(
    machine: MachineHere, airbyte: FakeAirbyte, declare: Declare
) -> None:
    """It has checked a destination when it was made, and has no configuration API."""
    assert call("apply") == 0
    assert held(airbyte) == (["people"], ["warehouse"], ["people_to_warehouse"])
    assert CHECK not in airbyte.changes()
