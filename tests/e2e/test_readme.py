"""What the README promises: one command, and Airflow runs a DAG on a hardened machine."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from typing import Any

import pytest

from .conftest import Checkout

DAG = "city_temperatures"
SECOND_UP_SECONDS = 30  # the budget on two cores, verification included


class Airflow:
    """The public API of the Airflow at the end of the tunnel, as the generated administrator."""

    def __init__(self, base: str, password: str) -> None:
        self.base = base
        self.token = self.call("POST", "/auth/token", {"username": "admin", "password": password})[
            "access_token"
        ]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self.base + path, method=method, headers={"Content-Type": "application/json"}
        )
        if token := getattr(self, "token", None):
            request.add_header("Authorization", f"Bearer {token}")
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return json.load(answer)


def airflow_address(machine: Checkout) -> str:
    return str(machine.report()["airflow"]["address"])


@pytest.fixture(scope="module")
def airflow(machine: Checkout) -> Airflow:
    password = machine.ssh("sudo cat /srv/airflow/secrets/admin_password").stdout.strip()
    return Airflow(airflow_address(machine), password)


def test_up_makes_a_verified_machine(machine: Checkout) -> None:
    report = machine.report()
    outcomes = {promise["outcome"] for promise in report["promises"]}
    assert "held" in outcomes
    assert "broken" not in outcomes
    assert (machine.state / "report.html").stat().st_size > 5_000


def test_airflow_answers_on_the_laptop_through_the_forward(machine: Checkout) -> None:
    with urllib.request.urlopen(airflow_address(machine) + "/api/v2/monitor/health", timeout=30) as answer:
        health = json.load(answer)
    assert {part: state["status"] for part, state in health.items()} == {
        "metadatabase": "healthy",
        "scheduler": "healthy",
        "triggerer": "healthy",
        "dag_processor": "healthy",
    }


def test_the_api_refuses_strangers(machine: Checkout) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(airflow_address(machine) + "/api/v2/dags", timeout=30)
    assert refused.value.code == 401


def test_the_example_dag_runs_to_success(airflow: Airflow) -> None:
    airflow.call("PATCH", f"/api/v2/dags/{DAG}", {"is_paused": False})
    run = airflow.call("POST", f"/api/v2/dags/{DAG}/dagRuns", {"logical_date": None})
    deadline = time.monotonic() + 180
    state = run["state"]
    while state not in {"success", "failed"} and time.monotonic() < deadline:
        time.sleep(1)  # between two looks at the condition
        state = airflow.call("GET", f"/api/v2/dags/{DAG}/dagRuns/{run['dag_run_id']}")["state"]
    assert state == "success"


def test_a_second_up_changes_nothing_and_is_quick(machine: Checkout) -> None:
    start = time.monotonic()
    machine.hangar("up", "--yes")
    seconds = time.monotonic() - start
    assert machine.report()["changed"] == 0, machine.report()
    assert seconds < SECOND_UP_SECONDS, f"{seconds:.1f} s"


def test_the_plan_after_up_has_nothing_to_do(machine: Checkout) -> None:
    assert machine.hangar("plan", "--exit-code", check=False).returncode == 0


def test_ansible_alone_sees_the_same_machine(machine: Checkout) -> None:
    """The Ansible half stands by itself: one tag, check mode, nothing to change."""
    import subprocess

    done = subprocess.run(
        [".venv/bin/ansible-playbook", "-i", f"inventory/{machine.environment}/hosts.yml", "playbooks/site.yml",
         "--tags", "firewall", "--check", "--diff"],
        cwd=machine.path, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" in done.stdout


def test_status_speaks_to_people_and_to_programs(machine: Checkout) -> None:
    facts = json.loads(machine.hangar("status", "--json").stdout)
    assert facts["machine"]["state"] == "running"
    assert 0 < facts["memory"]["used_percent"] < 100
    assert "running" in machine.hangar("status").stdout
