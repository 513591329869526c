"""Pure comparisons, one rule each."""

from typing import Any

import pytest

from hangar.airbyte.planning import plan
from hangar.airbyte.records import Entry, Found, Wanted, World
from hangar.airbyte.wanted import flatten, found_fields, words


def source(**configuration: Any) -> Wanted:
    return Wanted("source", "shop", {"connector": "http"}, as_fields(configuration), {})


def as_fields(configuration: dict[str, Any]) -> dict[str, Any]:
    return flatten(configuration, "configuration") if configuration else {}


def world(there: dict[str, Any], last: dict[str, Any]) -> World:
    fields = found_fields("source", {"configuration": {**there, "sourceType": "http"}})
    found = Found("source", "shop", "1", {"connector": "http"}, fields)
    return World("w", (found,), {"source/shop": Entry("1", (), as_fields(last))})


def changes(wanted: dict[str, Any], there: dict[str, Any], last: dict[str, Any] | None = None) -> Any:
    secrets = {"source/shop": {"configuration.key": "same", "configuration.keys.1": "same"}}
    (step,) = plan([source(**wanted)], world(there, wanted if last is None else last), secrets)
    return step.fields


@pytest.mark.parametrize(("wanted", "there"), [
    ({"a": {"b": 1, "c": [1, 2]}}, {"a": {"b": 1, "c": [1, 2]}}),
    ({"a": 1}, {"a": 1.0}),
    ({"a": 1}, {"a": 1, "filled_in_by_airbyte": {"deep": True}}),
    ({"key": {"secret": "k"}}, {"key": "**********"}),
    ({"keys": [{"name": "x"}, {"secret": "k"}]}, {"keys": [{"name": "x"}, "**********"]}),
    ({"plain_but_masked": "value"}, {"plain_but_masked": "**********"}),
])  # fmt: skip
def test_what_is_the_same(wanted: dict[str, Any], there: dict[str, Any]) -> None:
    assert changes(wanted, there) == ()


@pytest.mark.parametrize(("wanted", "there", "last", "fields"), [
    ({"a": True}, {"a": 1}, None, [("configuration.a", "1", "true")]),
    ({"a": "1"}, {"a": 1}, None, [("configuration.a", "1", "1")]),
    ({"a": [1, 2]}, {"a": [2, 1]}, None, [("configuration.a", "[2, 1]", "[1, 2]")]),
    ({"a": 1}, {}, None, [("configuration.a", "—", "1")]),
    ({}, {"a": 1}, {"a": 1}, [("configuration.a", "1", "—")]),
    ({"plain_but_masked": "new"}, {"plain_but_masked": "****"}, {"plain_but_masked": "old"},
     [("configuration.plain_but_masked", "****", "new")]),
    ({"key": {"secret": "k"}}, {"key": "in clear"}, {"key": "in clear"},
     [("configuration.key", "a value of its own", "secret k")]),
    ({"key": {"secret": "k"}}, {"key": "****"}, {"key": {"secret": "j"}},
     [("configuration.key", "secret j", "secret k")]),
    ({"key": {"secret": "k"}}, {}, None, [("configuration.key", "—", "secret k")]),
])  # fmt: skip
def test_what_differs_and_how_it_is_told(
    wanted: dict[str, Any], there: dict[str, Any], last: Any, fields: list[tuple[str, str, str]]
) -> None:
    assert list(changes(wanted, there, last)) == fields


def test_a_schedule_is_told_in_one_line_whatever_its_kind() -> None:
    def told(**schedule: str) -> Any:
        return found_fields("connection", {"schedule": schedule})["schedule"]

    assert told(scheduleType="manual") == "manual"
    assert told(scheduleType="cron", cronExpression="0 30 4 * * ? UTC") == "0 30 4 * * ?"
    assert told(scheduleType="basic", basicTiming="Every 24 HOURS") == "Every 24 HOURS"


def test_values_are_told_in_words() -> None:
    assert [words(value) for value in ("text", "", None, True, {"secret": "k"})] == [
        "text", '""', "null", "true", "secret k",
    ]  # fmt: skip
