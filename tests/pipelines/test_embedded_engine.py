"""The DAGs against the engine that small machines run, with Airbyte's own source `faker`: no stand-in in between."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from postgres import Postgres

REPO = Path(__file__).resolve().parents[2]
HOME = Path(os.environ.get("HANGAR_AIRBYTE_EMBEDDED", REPO / "services/airbyte_embedded"))
PYTHON, WORKER = HOME / ".venv/bin/python", HOME / ".venv-worker/bin/python"
ADMIN = ("admin", "secret-of-admin")
COUNT = int(os.environ.get("ELT_USERS", "500"))

pytestmark = pytest.mark.skipif(
    not (PYTHON.exists() and WORKER.exists()),
    reason="the embedded engine's environments are not made (services/airbyte_embedded)",
)


@dataclass
class Engine:
    address: str
    token: str = ""

    def make(self, path: str, **body: object) -> dict[str, str]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        answer = httpx.post(f"{self.address}{path}", json=body, headers=headers, timeout=300)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def declare(self, warehouse: Postgres) -> None:
        """As pipelines/airbyte.yml declares it."""
        login = {"client_id": ADMIN[0], "client_secret": ADMIN[1], "grant_type": "client_credentials"}
        self.token = self.make("/applications/token", **login)["access_token"]
        seen = httpx.get(
            f"{self.address}/workspaces", headers={"Authorization": f"Bearer {self.token}"}
        ).json()
        workspace = seen["data"][0]["workspaceId"]
        source = self.make(
            "/sources", name="faker", workspaceId=workspace,
            configuration={"sourceType": "faker", "count": COUNT, "seed": 42},
        )  # fmt: skip
        destination = self.make(
            "/destinations", name="warehouse", workspaceId=workspace,
            configuration={
                "destinationType": "postgres", "host": "127.0.0.1", "port": warehouse.port, "database": "warehouse",
                "schema": "raw", "username": "airbyte", "password": "password-of-airbyte",
                "ssl_mode": {"mode": "disable"},
            },
        )  # fmt: skip
        mode = {
            "syncMode": "incremental_deduped_history",
            "cursorField": ["updated_at"],
            "primaryKey": [["id"]],
        }
        self.make(
            "/connections", name="faker_to_warehouse", sourceId=source["sourceId"],
            destinationId=destination["destinationId"], schedule={"scheduleType": "manual"},
            configurations={"streams": [{"name": name, **mode} for name in ("users", "products", "purchases")]},
        )  # fmt: skip


@pytest.fixture
def engine(tmp_path, warehouse, connections):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    airflow = ("airflow", f"secret-of-airflow-{port}")  # the client of Airbyte's API keeps a token for each
    clients = [
        {"id": ADMIN[0], "secret": ADMIN[1], "scope": "admin"},
        {"id": airflow[0], "secret": airflow[1], "scope": "orchestrator"},
    ]
    (tmp_path / "clients.json").write_text(json.dumps({"clients": clients}))
    argv = [
        str(PYTHON), "-m", "airbyte_embedded", "--data", str(tmp_path / "data"), "--port", str(port),
        "--clients", str(tmp_path / "clients.json"), "--worker-python", str(WORKER),
    ]  # fmt: skip
    # The engine installs connectors by uv; this computer need not have another one than the repository's own.
    environment = {**os.environ, "PATH": f"{REPO / '.venv/bin'}:{os.environ['PATH']}"}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(argv, cwd=HOME, env=environment, stdout=log, stderr=log)
    engine = Engine(f"http://127.0.0.1:{port}/api/public/v1")
    for _ in range(600):
        assert process.poll() is None, (tmp_path / "log").read_text()
        try:
            if httpx.get(f"{engine.address}/health").status_code == 200:
                break
        except httpx.TransportError:
            time.sleep(0.05)
    engine.declare(warehouse)
    login = {"login": airflow[0], "password": airflow[1]}
    connections(airbyte_default={"conn_type": "airbyte", "host": engine.address, **login})
    yield engine
    process.terminate()
    process.wait(30)


def test_elt_brings_real_rows_to_gold_twice_and_doubles_none(engine, warehouse, run):
    started = time.monotonic()
    done = run("elt")
    print(f"elt with {COUNT} users: {time.monotonic() - started:.1f} s, {done.result['sync']}")
    assert done.errors == {}
    assert warehouse.value("SELECT count(*) FROM gold.customers", user="reader") == COUNT
    assert warehouse.value("SELECT count(*) FROM gold.best_products", user="reader") == 100
    assert warehouse.value("SELECT sum(purchases) > 0 FROM gold.revenue_by_day", user="reader")
    assert (
        warehouse.value("SELECT count(*) FROM gold.customers WHERE country IS NOT NULL", user="reader")
        == COUNT
    )

    assert run("elt").errors == {}
    assert warehouse.value("SELECT count(*) FROM raw.users") == COUNT
    assert warehouse.value("SELECT count(*) FROM gold.customers") == COUNT


def test_a_sync_that_cannot_write_says_why(engine, warehouse, run):
    warehouse.run("ALTER ROLE airbyte NOLOGIN")
    try:
        done = run("airbyte_sync", change=lambda task: setattr(task, "retries", 0))
    finally:
        warehouse.run("ALTER ROLE airbyte LOGIN")
    assert done.state == "failed"
    (said,) = done.errors["sync"]
    assert said.startswith("Airbyte's job 1 of the connection faker_to_warehouse failed: ")
    assert "connection to server" in said
    assert "password-of-airbyte" not in said
