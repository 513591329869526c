"""After a restart of the machine everything comes back without anybody, and nothing is lost."""

from __future__ import annotations

import time
import urllib.error

import docker

from tests.pace import allowed

from .airflow import Airflow, health
from .conftest import Checkout

BACK_WITHIN = 120
"""Seconds until all of Airflow is healthy, on two busy cores."""

LOGINS = 20
"""Seconds for three logins, on two busy cores; one that waits for a bus in vain takes 25."""


def test_airflow_comes_back_with_its_history(machine: Checkout, engine: docker.DockerClient) -> None:
    def runs() -> list[str]:
        found = Airflow.of(machine).call("GET", "/api/v2/dags/city_temperatures/dagRuns")["dag_runs"]
        return sorted(run["dag_run_id"] for run in found)

    before = runs()
    assert before
    container = engine.containers.get(f"hangar-{machine.environment}")
    container.restart(timeout=60)
    began, within = time.monotonic(), allowed(BACK_WITHIN)
    # The forward went with the machine; `tunnel` opens it again.
    while not healthy_again(machine):
        assert time.monotonic() - began < within
        time.sleep(1)  # between two looks at the condition
    print(f"Airflow healthy {time.monotonic() - began:.0f} s after the restart began")
    assert runs() == before


def test_logins_go_on_when_the_message_bus_is_killed(machine: Checkout) -> None:
    """logind would not return to the new bus by itself: each login waited 25 s, and `up` could not go on."""
    bus = "systemctl show --property MainPID --value dbus.service"
    kill = f'sudo kill -9 "$({bus})"'
    began = time.monotonic()
    session = 'loginctl show-session "$XDG_SESSION_ID" --property Name --value'
    assert machine.ssh(f"{kill}; {session}").stdout.split() == ["hangar"]  # the one that is open goes on
    machine.ssh(kill)  # nobody asks, so logind is down until the next login
    assert machine.ssh(session).stdout.split() == ["hangar"]
    assert time.monotonic() - began < allowed(LOGINS)


def healthy_again(machine: Checkout) -> bool:
    if machine.hangar("tunnel", check=False).returncode != 0:
        return False
    try:
        return set(health(machine).values()) == {"healthy"}
    except (urllib.error.URLError, OSError):
        return False


def test_nothing_is_to_be_done_after_a_restart(machine: Checkout) -> None:
    """Also the firewall is back, and every promise holds."""
    machine.hangar("up", "--yes")
    assert machine.changed() == []
    assert machine.report()["broken"] == 0
