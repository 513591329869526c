"""A stand-in for Airbyte: the part of its public API that the DAGs use, and a sync that writes rows into a schema.

It is not Airbyte and runs no connector. It exists so that a test decides how a sync goes: its answers are held against
Airbyte's own description of the API in test_stand_in.py.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

BASE = "/api/public/v1"
TOKEN = "token-of-the-stand-in"  # not a secret: nothing but this stand-in takes it
WORKSPACE = "0f8e5a52-0000-4000-8000-000000000001"


@dataclass
class Job:
    """How a job goes: the statuses that it shows one after the other; the last one stays."""

    id: int
    connection: str
    statuses: list[str]
    started: str
    sync: Callable[[], int] | None
    why: str = ""
    rows: int = 0

    def look(self) -> str:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status == "succeeded" and self.sync:
            self.rows, self.sync = self.sync(), None
        return status


@dataclass
class StandIn:
    """What a test says and what it finds afterwards."""

    connections: dict[str, str]
    sync: Callable[[], int] = lambda: 0
    statuses: list[str] = field(default_factory=lambda: ["pending", "running", "succeeded"])
    why: str = ""
    why_in_job: bool = False
    """As the embedded engine tells why a job failed, not as Airbyte does."""
    broken: list[int] = field(default_factory=list)
    """Statuses that the next requests are answered with."""
    refused: set[str] = field(default_factory=set)
    """Paths that a filter in front of Airbyte does not let through."""
    jobs: dict[int, Job] = field(default_factory=dict)
    cancelled: list[int] = field(default_factory=list)
    address: str = ""
    client: tuple[str, str] = ("client", "secret")

    def start(self, connection: str) -> Job:
        job = Job(len(self.jobs) + 1, connection, list(self.statuses), now(), self.sync, self.why)
        self.jobs[job.id] = job
        return job

    def active(self, connection: str) -> bool:
        ended = {"succeeded", "failed", "cancelled"}
        return any(
            job.connection == connection and job.statuses[0] not in ended for job in self.jobs.values()
        )


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def connection_answer(name: str, id: str) -> dict[str, Any]:
    return {
        "connectionId": id, "name": name, "sourceId": WORKSPACE, "destinationId": WORKSPACE, "workspaceId": WORKSPACE,
        "status": "active", "schedule": {"scheduleType": "manual"}, "configurations": {"streams": []}, "createdAt": 1,
        "tags": [],
    }  # fmt: skip


def job_answer(job: Job, status: str) -> dict[str, Any]:
    return {
        "jobId": job.id, "status": status, "jobType": "sync", "startTime": job.started,
        "connectionId": job.connection, "lastUpdatedAt": now(), "duration": "PT1S", "bytesSynced": job.rows * 100,
        "rowsSynced": job.rows,
    }  # fmt: skip


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    stand_in: StandIn

    def log_message(self, *_: Any) -> None:
        """Tests print what matters."""

    def body(self) -> dict[str, Any]:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "form" in (self.headers.get("Content-Type") or ""):
            return {key: values[0] for key, values in parse_qs(raw.decode()).items()}
        return dict(json.loads(raw or b"{}"))

    def answer(self, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def handle_any(self) -> None:
        body = self.body()
        parts = urlsplit(self.path)
        if self.stand_in.broken:
            return self.answer(self.stand_in.broken.pop(0), {"title": "broken for the test"})
        if parts.path in self.stand_in.refused:
            return self.answer(403, {"title": "not let through"})
        if parts.path == f"{BASE}/applications/token":
            given = (body.get("client_id"), body.get("client_secret"))
            if given != self.stand_in.client:
                return self.answer(401, {"title": "unauthorized"})
            return self.answer(200, {"access_token": TOKEN, "token_type": "Bearer", "expires_in": 900})
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer(401, {"title": "unauthorized"})
        query = {key: values[0] for key, values in parse_qs(parts.query).items()}
        return self.answer(*self.route(self.command, parts.path, query, body))

    do_GET = do_POST = do_DELETE = handle_any

    def route(self, verb: str, path: str, query: dict[str, str], body: dict[str, Any]) -> tuple[int, Any]:
        known, tail = self.stand_in, path.removeprefix(BASE).strip("/").split("/")
        if (verb, path) == ("POST", "/api/v1/jobs/get_without_logs"):
            job = known.jobs[body["id"]]
            failures = [{"failureOrigin": "source", "externalMessage": job.why}] if job.why else []
            return 200, {
                "job": {"id": job.id},
                "attempts": [{"attempt": {"failureSummary": {"failures": failures}}}],
            }
        match (verb, *tail):
            case ("GET", "connections"):
                at, most = int(query.get("offset", 0)), int(query.get("limit", 20))
                named = [connection_answer(name, id) for id, name in known.connections.items()]
                return 200, {"data": named[at : at + most]}
            case ("GET", "connections", id) if id in known.connections:
                return 200, connection_answer(known.connections[id], id)
            case ("GET", "jobs"):
                mine = [job for job in known.jobs.values() if job.connection == query["connectionId"]]
                return 200, {"data": [job_answer(job, job.statuses[0]) for job in reversed(mine)]}
            case ("POST", "jobs") if known.active(body["connectionId"]):
                return 409, {"title": "try-again-later", "status": 409}
            case ("POST", "jobs"):
                job = known.start(body["connectionId"])
                return 200, job_answer(job, job.statuses[0])
            case ("GET", "jobs", id) if int(id) in known.jobs:
                job = known.jobs[int(id)]
                answer = job_answer(job, job.look())
                return 200, answer | ({"failureReason": job.why} if known.why_in_job and job.why else {})
            case ("DELETE", "jobs", id) if int(id) in known.jobs:
                known.cancelled.append(int(id))
                known.jobs[int(id)].statuses = ["cancelled"]
                return 200, job_answer(known.jobs[int(id)], "cancelled")
        return 404, {"title": "resource-not-found", "status": 404}


def serve(stand_in: StandIn) -> ThreadingHTTPServer:
    """Answer on a free port; `stand_in.address` is then what Airflow's connection needs."""
    handler = type("Bound", (Handler,), {"stand_in": stand_in})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stand_in.address = f"http://127.0.0.1:{server.server_address[1]}{BASE}"
    return server
