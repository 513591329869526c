"""Each process of the platform is killed once, and its database stops for a minute: everything goes on by itself."""

from __future__ import annotations

import time

import pytest

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout
from tests.e2e.test_restart import BACK_WITHIN, healthy_again
from tests.matrix import patient
from tests.matrix.test_data_reliability import ENDS, until

BACK = 90
"""Seconds for one of them; systemd tries again after at most ten, Docker after less."""

UNITS = (
    "warehouse", "hangar-measure", "prometheus", "prometheus-alertmanager", "prometheus-node-exporter", "ssh",
    "systemd-journald", "systemd-logind", "dbus", "airflow-live",
)  # fmt: skip
CONTAINERS = {
    "airflow": ("api-server", "scheduler", "dag-processor", "triggerer", "postgres"),
    "airbyte": ("engine",),
}
A_MINUTE = 60


def compose(user: str) -> str:
    return f"sudo as-service {user} docker compose --project-directory /srv/{user}/stack"


def of_unit(unit: str) -> str:
    return f"systemctl show --property MainPID --value {unit}.service"


def of_manager(user: str) -> str:
    return f"systemctl show --property MainPID --value user@$(id --user {user}).service"


def of_daemon(user: str) -> str:
    return f"sudo as-service {user} systemctl --user show --property MainPID --value docker.service"


def of_container(user: str, name: str) -> str:
    found = f"$({compose(user)} ps --quiet {name})"
    return f"sudo as-service {user} docker inspect --format '{{{{.State.Pid}}}}' {found}"


VICTIMS = {
    **{unit: of_unit(unit) for unit in UNITS},
    **{f"{name} of {user}": of_container(user, name) for user, names in CONTAINERS.items() for name in names},
    **{f"Docker of {user}": of_daemon(user) for user in CONTAINERS},
    **{f"all of {user}": of_manager(user) for user in CONTAINERS},
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_what_is_killed_starts_again(machine: Checkout, victim: str) -> None:
    def pid() -> str:
        found = machine.ssh(VICTIMS[victim], check=False).stdout.strip()
        return found if found.isdigit() and found != "0" else ""

    before = pid()
    assert before, f"{victim} does not run"
    machine.ssh(f"sudo kill -9 {before}")
    until(lambda: pid() not in ("", before), BACK, f"{victim} did not start again")
    until(lambda: healthy_again(machine), BACK_WITHIN, "Airflow is not well")


def test_a_database_that_stops_for_a_minute_ends_no_run(machine: Checkout) -> None:
    with patient.deployed(machine):
        run = patient.begun(Airflow.of(machine))
        machine.ssh(f"{compose('airflow')} stop postgres")
        time.sleep(A_MINUTE)  # that long, and no condition to wait for
        machine.ssh(f"{compose('airflow')} start postgres")
        until(lambda: healthy_again(machine), BACK_WITHIN, "Airflow did not come back")
        airflow = Airflow.of(machine)
        until(lambda: patient.state(airflow, run) in ("success", "failed"), ENDS, "the run hangs")
        assert patient.state(airflow, run) == "success"


def test_everything_is_well_afterwards(machine: Checkout) -> None:
    machine.hangar("up", "--yes")
    report = machine.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
