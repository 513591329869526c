"""How locks are read and compared."""

from dataclasses import replace

import pytest

from hangar.upgrade import pins
from hangar.upgrade.records import Item
from tests.unit.upgrade.facts import AIRFLOW, SERVICE


@pytest.mark.parametrize(("python", "there"), [("3.10.1", True), ("3.13.5", False)])
def test_a_lock_is_read_for_the_python_that_installs_it(python: str, there: bool) -> None:
    found = pins.read(AIRFLOW, pins.markers(replace(SERVICE, python=python)))
    assert ("tomli" in found) is there
    assert found["httpx"] == "0.28.1"


def test_the_locks_of_this_repository_are_read_whole() -> None:
    from hangar.paths import REPO

    text = (REPO / "roles/airflow/files/requirements.lock").read_text()
    found = pins.read(text)
    assert len(found) == sum(line[:1].isalnum() for line in text.splitlines())
    assert {"apache-airflow", "apache-airflow-providers-airbyte", "statsd"} <= set(found)


def test_a_version_that_is_written_in_another_way_is_the_same() -> None:
    assert pins.differences({"a": "1.2", "b": "1.0"}, {"a": "1.2.0", "b": "1.0.1"}) == (
        Item("b", "1.0", "1.0.1"),
    )
