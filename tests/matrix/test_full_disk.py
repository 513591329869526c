"""The data disk is filled to its last byte while DAGs run: services stand still, an alert fires, nothing is corrupted,
and all goes on by itself when there is room again.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import docker
import pytest

from hangar.cloud.local.ownership import OWNER, volume_name
from tests.e2e.airflow import Airflow
from tests.e2e.conftest import FIRST_UP, Checkout, cloned
from tests.e2e.test_data import ask
from tests.e2e.test_restart import BACK_WITHIN, healthy_again
from tests.matrix import patient
from tests.matrix.test_data_reliability import BEGINS, ENDS, GOODS, PEOPLE, ROWS, is_at, until

DISK = 16 << 30
"""Bytes of the data disk; a fresh machine has a sixth of it in use."""

TOLD_WITHIN = 90
"""Seconds from the cause to the alert."""

FULL_FOR = 180
"""Seconds without any room: the run's task ends meanwhile, and Docker and systemd have tried again several times."""

FILLED_WITHIN = 60
"""Seconds until one write more finds no room."""

FILLER = "/srv/filler"
ALERT = "NoRoomLeft"


@contextmanager
def data_disk(folder: Path, environment: str) -> Iterator[None]:
    """A disk of its own below the machine's /srv, where the engine would make a folder on this computer's."""
    image = folder / "data.img"
    with image.open("wb") as file:
        file.truncate(DISK)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)
    argv = ["losetup", "--find", "--show", image]
    device = subprocess.run(argv, check=True, capture_output=True, text=True).stdout.strip()
    try:
        docker.from_env().volumes.create(
            volume_name(f"hangar-{environment}"), driver="local",
            driver_opts={"type": "ext4", "device": device}, labels={OWNER: environment},
        )  # fmt: skip
        yield
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
        image.unlink()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    folder = tmp_path_factory.mktemp("full")
    with data_disk(folder, "full"), cloned(folder / "hangar", "full") as place:
        place.hangar("up", "--yes", timeout=FIRST_UP)
        assert place.ssh("findmnt --noheadings --output FSTYPE --target /srv").stdout.strip() == "ext4"
        yield place


@pytest.fixture(autouse=True)
def room(machine: Checkout) -> Iterator[None]:
    """A test that fails leaves the others room."""
    yield
    machine.ssh(f"sudo rm -f {FILLER}*", check=False)


def fires(machine: Checkout) -> bool:
    alerts = json.loads(machine.hangar("status", "--json", check=False).stdout)["alerts"]
    return any(alert["name"] == ALERT and "/srv" in alert["reason"] for alert in alerts or [])


def fill(machine: Checkout) -> None:
    """Takes what is left, root's share too; again where somebody gave some back between two writes."""
    until(lambda: is_full(machine), FILLED_WITHIN, "others give back more than is taken")


def is_full(machine: Checkout) -> bool:
    machine.ssh(f"""
        free=$(stat --file-system --format '%f * %S' /srv)
        if [ $((free)) -gt $((1 << 30)) ]; then sudo fallocate --length $((free - (64 << 20))) {FILLER}; fi
        sudo dd if=/dev/zero of={FILLER}.$(date +%s%N) bs=4k status=none
        """, check=False)  # fmt: skip
    # A file of its own each time: one that has a block once is written again without taking another.
    one = machine.ssh(f"echo x | sudo tee {FILLER}.$(date +%s%N)", check=False)
    return "No space left on device" in one.stderr


def test_a_full_disk_is_told_and_costs_no_data(machine: Checkout) -> None:
    assert not fires(machine)
    airflow = Airflow.of(machine)
    run = airflow.start("elt")["dag_run_id"]
    until(lambda: is_at(airflow, run, "sync"), BEGINS, "the sync did not begin")
    with patient.deployed(machine):
        waiting = patient.begun(airflow)
        fill(machine)
        began = time.monotonic()
        until(lambda: fires(machine), TOLD_WITHIN, "no alert fires")
        print(f"the alert fires after {time.monotonic() - began:.0f} s")
        while time.monotonic() < began + FULL_FOR:
            fill(machine)
            time.sleep(5)  # between two looks whether somebody gave room back
        machine.ssh(f"sudo rm {FILLER}*")
        began = time.monotonic()
        until(lambda: healthy_again(machine), BACK_WITHIN, "Airflow did not come back")
        print(f"Airflow is healthy {time.monotonic() - began:.0f} s after there is room")
        until(lambda: not fires(machine), TOLD_WITHIN, "the alert does not end")
        airflow = Airflow.of(machine)
        until(lambda: patient.state(airflow, waiting) in ("success", "failed"), ENDS, f"{waiting} hangs")
        assert patient.state(airflow, waiting) == "success"
    path = f"/api/v2/dags/elt/dagRuns/{run}"
    until(lambda: airflow.call("GET", path)["state"] in ("success", "failed"), ENDS, f"{run} hangs")
    print(f"elt: {airflow.call('GET', path)['state']}")


def test_the_next_run_loses_and_doubles_no_row(machine: Checkout) -> None:
    assert Airflow.of(machine).run("elt", ENDS)["state"] == "success"
    people, goods, purchases = (line.split("|") for line in ask(machine, ROWS.replace("\n", " ")).split())
    assert (people, goods) == ([PEOPLE, PEOPLE], [GOODS, GOODS])
    assert purchases[0] == purchases[1]


def test_every_page_of_the_databases_can_be_read(machine: Checkout) -> None:
    """A backup reads them all, and tries what it read in a database of its own."""
    machine.hangar("backup now")


def test_daemons_that_could_not_start_for_want_of_room_come_back(machine: Checkout) -> None:
    fill(machine)
    docker.from_env().containers.get(f"hangar-{machine.environment}").restart(timeout=60)
    time.sleep(FULL_FOR)  # that long, and no condition to wait for
    until(lambda: machine.ssh(f"sudo rm -f {FILLER}*", check=False).returncode == 0, 60, "no login")
    until(lambda: healthy_again(machine), BACK_WITHIN, "Airflow did not come back")


def test_everything_is_well_afterwards(machine: Checkout) -> None:
    machine.hangar("up", "--yes")
    report = machine.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
