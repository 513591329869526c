"""Create, find nothing to do, change what was changed: the cloud half of `up`."""

from tests.gcp.conftest import Environment


def test_an_empty_project_becomes_a_machine(environment: Environment) -> None:
    plan = environment.up()
    assert {change.action for change in plan.changes} == {"create"}
    assert environment.instance["status"] == "RUNNING"


def test_a_second_up_changes_nothing(environment: Environment) -> None:
    environment.up()
    before = environment.calls()
    again = environment.up()
    assert [change for change in again.changes if change.action != "nothing"] == []
    assert again.drift == ()
    assert environment.writes(before) == []
