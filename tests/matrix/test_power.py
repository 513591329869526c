"""The machine goes down in the middle of a run, in order or as in a power cut: all comes back without anybody."""

from __future__ import annotations

import time
from functools import partial

import docker
import pytest
from docker.models.containers import Container

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_restart import BACK_WITHIN, healthy_again
from tests.matrix import patient
from tests.matrix.test_data_reliability import ENDS, until

TIMES = 5


def reboot(container: Container) -> None:
    container.restart(timeout=60)


def power_cut(container: Container) -> None:
    container.kill()
    container.start()


def is_over(airflow: Airflow, run: str) -> bool:
    return patient.state(airflow, run) in ("success", "failed")


@pytest.mark.parametrize("goes_down", [reboot, power_cut])
def test_no_run_is_left_hanging(machine: Checkout, goes_down) -> None:
    container = docker.from_env().containers.get(f"hangar-{machine.environment}")
    runs = []
    with patient.deployed(machine):
        for number in range(TIMES):
            runs.append(patient.begun(Airflow.of(machine)))
            goes_down(container)
            began = time.monotonic()
            until(
                lambda: healthy_again(machine), BACK_WITHIN, f"Airflow did not come back, time {number + 1}"
            )
            print(
                f"{goes_down.__name__} {number + 1}: Airflow healthy after {time.monotonic() - began:.0f} s"
            )
        airflow = Airflow.of(machine)
        for run in runs:
            until(partial(is_over, airflow, run), ENDS, f"{run} hangs")
        assert {run: patient.state(airflow, run) for run in runs} == dict.fromkeys(runs, "success")
        tries = [patient.task(airflow, run)["try_number"] for run in runs]
        print(f"{goes_down.__name__}: tries {tries}")
        # One for itself, and one for each time that the machine went down since it began.
        assert all(used <= 1 + TIMES - number for number, used in enumerate(tries)), tries


def test_nothing_is_to_be_done_afterwards(machine: Checkout) -> None:
    machine.hangar("up", "--yes")
    report = machine.report()
    assert machine.changed() == []
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
