"""The matrices' DAG leaves the machine with its test, however that ends: the next one shares the machine."""

from __future__ import annotations

from typing import Any

import pytest

from tests.matrix import patient


class Machine:
    """Its folder of DAGs, as far as two commands of a shell go."""

    def __init__(self) -> None:
        self.dags: set[str] = set()

    def ssh(self, command: str, input: str = "") -> None:
        program, *_, path = command.split()
        if program == "tee":
            assert "sleep 90" in input
            self.dags.add(path)
        else:
            self.dags.remove(path)


class Airflow:
    """One that finds the DAG, or never does."""

    def __init__(self, finds: bool) -> None:
        self.finds = finds

    def wait_for_dag(self, name: str) -> None:
        if not self.finds:
            raise AssertionError(f"no DAG {name}")


@pytest.mark.parametrize("ends", ["well", "failed", "never found"])
def test_the_dag_goes_however_the_test_ends(monkeypatch: pytest.MonkeyPatch, ends: str) -> None:
    machine: Any = Machine()
    monkeypatch.setattr(patient.Airflow, "of", lambda _: Airflow(ends != "never found"))

    def test() -> None:
        with patient.deployed(machine):
            assert machine.dags == {patient.PLACE}
            assert ends == "well"

    if ends == "well":
        test()
    else:
        with pytest.raises(AssertionError):
            test()
    assert machine.dags == set()
