"""The public API of the Airflow at the end of the tunnel, as its people and their programs use it."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import Any

from .conftest import Checkout

DAG_APPEARS = 120
"""Seconds: Airflow looks every 10 s, and a busy machine reads slowly."""


class Airflow:
    """Airflow as the generated administrator sees it, or somebody else."""

    def __init__(self, base: str, password: str, username: str = "admin") -> None:
        self.base = base
        login = {"username": username, "password": password}
        self.token = self.call("POST", "/auth/token", login)["access_token"]

    @classmethod
    def of(cls, machine: Checkout) -> Airflow:
        password = machine.ssh("sudo cat /srv/airflow/secrets/admin_password").stdout.strip()
        return cls(address(machine), password)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            self.base + path, method=method, headers={"Content-Type": "application/json"}
        )
        if token := getattr(self, "token", None):
            request.add_header("Authorization", f"Bearer {token}")
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(request, data, timeout=30) as answer:
            return json.load(answer)

    def wait_for_dag(self, dag: str) -> None:
        """Returns when Airflow has read the DAG."""
        deadline = time.monotonic() + DAG_APPEARS
        while dag not in {found["dag_id"] for found in self.call("GET", "/api/v2/dags?limit=100")["dags"]}:
            assert self.call("GET", "/api/v2/importErrors")["import_errors"] == []
            assert time.monotonic() < deadline, f"{dag} did not appear"
            time.sleep(1)  # between two looks at the condition

    def run(self, dag: str, seconds: float = 180) -> dict[str, Any]:
        """Triggers the DAG and returns the run when it has ended."""
        return self.wait(dag, self.start(dag), seconds)

    def start(self, dag: str) -> dict[str, Any]:
        """Triggers the DAG and returns the run that begins."""
        self.call("PATCH", f"/api/v2/dags/{dag}", {"is_paused": False})
        return dict(self.call("POST", f"/api/v2/dags/{dag}/dagRuns", {"logical_date": None}))

    def wait(self, dag: str, run: dict[str, Any], seconds: float = 180) -> dict[str, Any]:
        """Returns the run when it has ended, or as it is when the time is over."""
        deadline = time.monotonic() + seconds
        while run["state"] not in {"success", "failed"} and time.monotonic() < deadline:
            time.sleep(1)  # between two looks at the condition
            run = self.call("GET", f"/api/v2/dags/{dag}/dagRuns/{run['dag_run_id']}")
        return dict(run)


def address(machine: Checkout) -> str:
    return str(machine.report()["airflow"]["address"])


def health(machine: Checkout) -> dict[str, str]:
    """Each part of Airflow with its state, asked without a login."""
    with urllib.request.urlopen(address(machine) + "/api/v2/monitor/health", timeout=30) as answer:
        return {part: state["status"] for part, state in json.load(answer).items()}
