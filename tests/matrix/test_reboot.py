"""An update that needs a reboot, five times in a row: what runs ends first, what comes meanwhile begins afterwards,
nobody does anything.
"""

from __future__ import annotations

import docker
import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_restart import BACK_WITHIN, healthy_again
from tests.matrix import patient
from tests.matrix.patient import LONG, task
from tests.matrix.test_data_reliability import until
from tests.matrix.test_power import TIMES


def pools(airflow: Airflow) -> dict[str, int]:
    return {one["name"]: one["slots"] for one in airflow.call("GET", "/api/v2/pools")["pools"]}


@pytest.mark.parametrize("time", range(1, 1 + TIMES))
def test_a_reboot_ends_no_task_and_none_is_lost(machine: Checkout, time: int) -> None:
    container = docker.from_env().containers.get(f"hangar-{machine.environment}")
    started = container.attrs["State"]["StartedAt"]

    def restarted() -> bool:
        container.reload()
        return bool(container.attrs["State"]["StartedAt"] != started)

    with patient.deployed(machine):
        airflow = Airflow.of(machine)
        before = pools(airflow)
        running = patient.begun(airflow)
        machine.ssh("sudo touch /run/reboot-required")
        seen = "grep -q '^hangar_reboot_needed 1' /run/hangar-measure/platform.prom"
        until(
            lambda: machine.ssh(seen, check=False).returncode == 0, LONG, "nobody saw that a reboot is needed"
        )
        machine.ssh("sudo systemctl start --no-block hangar-maintenance.service")
        until(lambda: set(pools(airflow).values()) == {0}, LONG, "tasks may still begin")
        waiting = airflow.start(patient.NAME)["dag_run_id"]
        until(restarted, LONG, "the machine did not start anew")
        until(lambda: healthy_again(machine), BACK_WITHIN, "Airflow did not come back")
        airflow = Airflow.of(machine)
        first, second = task(airflow, running), task(airflow, waiting)
        assert (first["state"], first["try_number"]) == ("success", 1)
        assert second["state"] != "success"
        until(lambda: pools(airflow) == before, LONG, "the pools have no slots")
        until(lambda: task(airflow, waiting)["state"] == "success", LONG, "the run that waited did not end")
        assert str(task(airflow, waiting)["start_date"]) > str(container.attrs["State"]["StartedAt"])
    machine.ssh("! sudo test -e /srv/maintenance/drained.json")
