"""What the machine's refusals mean in words, and which command comes next."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from hangar.config import Config
from hangar.elt.machine import AirflowRefused, AirflowSilent, Machine
from hangar.elt.reasons import last_line, spoken
from hangar.elt.records import Table
from hangar.errors import CommandFailed, HangarError, MachineUnreachable
from tests.unit.fakes import SERVER

Make = Callable[..., Config]


class Answers:
    """A conversation that answers the same to everything."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def ask(self, line: str) -> str:
        self.asked.append(json.loads(line))
        if isinstance(self.answer, Exception):
            raise self.answer
        return json.dumps(self.answer)


def machine(config: Config, answer: Any) -> tuple[Machine, Answers]:
    talk = Answers(answer)
    return Machine(talk, SERVER, config), talk  # type: ignore[arg-type] # has what is used of a conversation


def test_airflow_and_the_warehouse_are_asked_at_their_ports(make_config: Make) -> None:
    config = make_config("airflow.port=8081", "warehouse.port=5433")
    asked, talk = machine(
        config, {"ok": [{"name": "t", "columns": ["a"], "rows": 3, "first": [["1"], [None]]}]}
    )
    assert asked.gold() == (Table("t", ("a",), 3, (("1",), (None,))),)
    asked.airflow("GET", "/api/v2/dags", "for the DAGs")
    assert [request["port"] for request in talk.asked] == [5433, 8081]
    assert talk.asked[0]["shown"] == ["best_products", "revenue_by_day"]  # nobody's person is in these


@pytest.mark.parametrize(("error", "kind", "brief", "resolution"), [
    ({"kind": "refused", "status": 403, "text": "Forbidden"}, AirflowRefused,
     "Airflow refused to start elt.", "See what it says: ./provision.py logs airflow local"),
    ({"kind": "refused", "status": 401, "text": "Invalid credentials"}, AirflowRefused, "Airflow refused to start elt.",
     "Give it one that the machine knows: ./provision.py rotate airflow-admin local"),
    ({"kind": "unreachable", "text": "http://127.0.0.1:8080: refused"}, AirflowSilent,
     "Airflow on hangar-local does not answer (to start elt).", "See what it says: ./provision.py logs airflow local"),
    ({"kind": "warehouse", "text": "connection refused"}, HangarError,
     "The warehouse on hangar-local does not answer (to start elt).",
     "See what it says: ./provision.py logs warehouse local"),
    ({"kind": "defect", "text": "KeyError: 'x'"}, HangarError,
     "The machine's end of the first run failed (to start elt).", ""),
])  # fmt: skip
def test_each_refusal_has_its_words(
    make_config: Make, error: dict[str, Any], kind: type[HangarError], brief: str, resolution: str
) -> None:
    asked, _ = machine(make_config(), {"error": error})
    with pytest.raises(kind) as refused:
        asked.airflow("POST", "/api/v2/dags/elt/dagRuns", "to start elt", {})
    assert (refused.value.brief, refused.value.resolution) == (brief, resolution)
    assert error["text"] in refused.value.details


def test_a_machine_that_goes_away(make_config: Make) -> None:
    asked, _ = machine(make_config(), CommandFailed("ssh failed.", "* Exit status: 255"))
    with pytest.raises(MachineUnreachable, match="hangar-local stopped answering"):
        asked.is_released("elt")


def test_what_a_log_says_is_what_its_exceptions_say() -> None:
    log = {"content": [{"event": "::group::"}, "a line", {"error_detail": None},
                       {"error_detail": [{"exc_type": "A", "exc_value": "first"}, {"exc_type": "B"}]}]}  # fmt: skip
    assert list(spoken(log)) == ["first", "B"]
    assert list(spoken({"content": "plain text"})) == []


def test_a_traceback_ends_with_its_reason() -> None:
    assert last_line("Traceback …\n  File x\nImportError: no shop\n\n") == "ImportError: no shop"
    assert last_line("") == "it gives no reason"
