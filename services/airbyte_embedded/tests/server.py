"""A running service for the tests: the real program, in a process of its own, over a folder of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[1]
WORKER = Path(os.environ.get("AIRBYTE_EMBEDDED_WORKER_PYTHON", ROOT / ".venv-worker/bin/python"))
ADMIN = ("admin-client", "admin-secret-of-the-tests")
ORCHESTRATOR = ("airflow-client", "airflow-secret-of-the-tests")
TERMINAL = ("failed", "succeeded", "cancelled")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_clients(path: Path, *clients: tuple[str, str, str]) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_text(
        json.dumps(
            {"clients": [{"id": name, "secret": secret, "scope": scope} for name, secret, scope in clients]}
        )
    )
    fresh.rename(path)


class Server:
    """Starts, kills and talks to one service."""

    def __init__(self, folder: Path, *options: str, connector: str = "toy") -> None:
        self.folder, self.options = folder, options
        self.data, self.clients = folder / "data", folder / "clients.json"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}/api/public/v1"
        self.process: subprocess.Popen[bytes] | None = None
        write_clients(self.clients, (*ADMIN, "admin"), (*ORCHESTRATOR, "orchestrator"))
        registry = folder / "connectors"
        registry.mkdir()
        as_faker = ["--faker"] if connector == "faker" else []
        entry = {"command": [sys.executable, str(ROOT / "tests/toy.py"), *as_faker]}
        (registry / "registry.json").write_text(json.dumps({connector: entry}))
        self.registry = registry
        self.http = httpx.Client(base_url=self.base, timeout=180)

    def start(self) -> Server:
        self.log = (self.folder / "service.log").open("ab")
        self.process = subprocess.Popen(
            [
                sys.executable, "-m", "airbyte_embedded", "--data", str(self.data), "--clients", str(self.clients),
                "--port", str(self.port), "--worker-python", str(WORKER), "--connectors", str(self.registry),
                *self.options,
            ],
            cwd=ROOT, stdout=self.log, stderr=self.log,
        )  # fmt: skip
        deadline = time.monotonic() + 120  # on a busy computer, its imports alone
        while time.monotonic() < deadline:
            try:
                if self.http.get("/health").status_code == 200:
                    return self
            except httpx.TransportError:
                assert self.process.poll() is None, self.output()
                time.sleep(0.05)
        raise AssertionError(self.output())

    def output(self) -> str:
        return (self.folder / "service.log").read_text()

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(30)
        self.process = None

    def stop(self) -> None:
        if self.process:
            self.kill(signal.SIGTERM)
        self.http.close()

    def token(self, client: tuple[str, str] = ADMIN) -> str:
        body = {"client_id": client[0], "client_secret": client[1], "grant_type": "client_credentials"}
        answer = self.http.post("/applications/token", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["access_token"])

    def ask(self, method: str, path: str, *, client: tuple[str, str] = ADMIN, **more: Any) -> httpx.Response:
        return self.http.request(
            method, path, headers={"Authorization": f"Bearer {self.token(client)}"}, **more
        )

    def get(self, path: str, **query: Any) -> Any:
        answer = self.ask("GET", path, params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def make(self, path: str, **body: Any) -> Any:
        answer = self.ask("POST", path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    @property
    def workspace(self) -> str:
        return str(self.get("/workspaces")["data"][0]["workspaceId"])

    def source(self, behaviour: str = "plain", **config: Any) -> str:
        configuration = {"sourceType": "toy", "behaviour": behaviour, **config}
        made = self.make(
            "/sources", name=f"toy {behaviour}", workspaceId=self.workspace, configuration=configuration
        )
        return str(made["sourceId"])

    def destination(self, type_: str = "duckdb", **config: Any) -> str:
        configuration = {"destinationType": type_, **(config or {"destination_path": "/local/toy.duckdb"})}
        made = self.make("/destinations", name=type_, workspaceId=self.workspace, configuration=configuration)
        return str(made["destinationId"])

    def connection(
        self, source: str, destination: str, mode: str = "full_refresh_overwrite", **more: Any
    ) -> str:
        streams = more.pop("streams", [{"name": "items", "syncMode": mode}])
        body = {
            "sourceId": source,
            "destinationId": destination,
            "configurations": {"streams": streams},
            **more,
        }
        return str(self.make("/connections", **body)["connectionId"])

    def run(self, connection: str, kind: str = "sync") -> dict[str, Any]:
        """Start a job and wait for its end."""
        job = self.wait(self.make("/jobs", connectionId=connection, jobType=kind)["jobId"])
        sys.stderr.write(f"{job}\n{self.joblog(job['jobId'])}\n")  # pytest shows it with a failure
        return job

    def wait(self, job: int, *states: str, seconds: float = 180) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        token = self.token()
        while time.monotonic() < deadline:
            answer = self.http.get(f"/jobs/{job}", headers={"Authorization": f"Bearer {token}"}).json()
            if answer["status"] in (states or TERMINAL):
                return answer
            time.sleep(0.1)
        raise AssertionError(f"{answer}\n{self.output()}\n{self.joblog(job)}")

    def joblog(self, job: int) -> str:
        return self.ask("GET", f"/jobs/{job}/log").text

    def wait_rows(self, job: int, least: int = 1) -> None:
        """Until the job has read something."""
        deadline = time.monotonic() + 180  # on a busy computer PyAirbyte takes a minute to begin
        while time.monotonic() < deadline:
            if self.get(f"/jobs/{job}")["rowsSynced"] >= least:
                return
            time.sleep(0.1)
        raise AssertionError(self.joblog(job))
