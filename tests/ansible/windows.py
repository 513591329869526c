"""An Airflow that can be drained, and a machine whose every command is written down instead of done."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import pytest
from hangar_maintenance import draining, figures, images, program
from hangar_maintenance.airflow import Airflow

AS_SERVICE = """#!/bin/sh
echo "$@" >> {0}/asked
case "$1 $3" in
  "$FAILS") echo 'no such mirror' >&2; exit 1;;
  *" updates") ;;
  *" build") mv {0}/$1/state/images-outdated {0}/$1/state/stack-changed;;
  *) rm {0}/$1/state/stack-changed;;
esac
"""
"""What the roles' own programs do with their marks."""

POOLS = {"default_pool": 128, "air/byte": 2}


class Stand:
    """What the program asks of Airflow's API, with the rules that it meets there."""

    def __init__(self, password: Path) -> None:
        self.pools, self.tasks, self.patched = dict(POOLS), [], []
        self.tokens = 0
        self.refuse: dict[str, int] = {}
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, data = stand.answer(self.command, self.path, body, self.headers.get("Authorization"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(data).encode())

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        password.write_text("the-password\n")
        self.airflow = Airflow(self.server.server_port, password)

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        where = urlparse(path)
        if where.path == "/auth/token":
            self.tokens += 1
            assert body == {"username": "admin", "password": "the-password"}
            return 201, {"access_token": str(self.tokens)}
        if token != f"Bearer {self.tokens}":
            return 401, {"detail": "Not authenticated"}
        if method in self.refuse:
            return self.refuse[method], {"detail": "no"}
        if method == "PATCH":
            name = unquote(where.path.removeprefix("/api/v2/pools/"))
            assert parse_qs(where.query) == {"update_mask": ["slots"]}
            # Airflow's own rule (core_api/services/public/pools.py): a pool is judged whole, but for the default one.
            if name != "default_pool" and not {"pool", "slots", "include_deferred"} <= set(body):
                return 422, {"detail": "Field required"}
            self.pools[name] = body["slots"]
            self.patched.append((name, body["slots"]))
            return 200, {}
        if where.path == "/api/v2/pools":
            return 200, {
                "pools": [
                    {"name": name, "slots": slots, "include_deferred": False}
                    for name, slots in self.pools.items()
                ]
            }
        assert where.path == "/api/v2/dags/~/dagRuns/~/taskInstances"
        assert parse_qs(where.query)["state"] == ["running", "queued", "restarting"]
        return 200, {"task_instances": [{"dag_id": dag, "task_id": task} for dag, task in self.tasks]}


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """An Airflow, and a machine whose every command is written down instead of done."""
    stand = Stand(tmp_path / "admin_password")
    described = tmp_path / "maintenance.json"
    described.write_text(
        json.dumps(
            {
                "airflow": stand.server.server_port,
                "airbyte": True,
                "services": ["airflow", "airbyte"],
                "minutes": 5,  # as long as it takes on a busy computer
                "window": "Sun 03:00-05:00",
            }
        )
    )
    measured(tmp_path / "platform.prom")
    monkeypatch.setattr(program, "DESCRIBED", described)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(program, "Airflow", lambda port: stand.airflow)
    for call in (draining.begin, draining.announce, draining.renounce):
        monkeypatch.setattr(call, "__defaults__", (tmp_path / "drained.json",))
    monkeypatch.setattr(draining.end, "__defaults__", (tmp_path / "drained.json", 0.2))
    monkeypatch.setattr(figures.value, "__defaults__", (None, tmp_path / "platform.prom"))
    monkeypatch.setattr(draining, "PLACE", tmp_path / "drained.json")
    monkeypatch.setattr(draining, "LOOK_EVERY", 0.01)
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" != "$FAILS" ]\n')
    (bin / "systemctl").chmod(0o755)
    (bin / "as-service").write_text(AS_SERVICE.format(tmp_path))
    (bin / "as-service").chmod(0o755)
    monkeypatch.setattr(images, "HOMES", tmp_path)
    for user in ("airflow", "airbyte"):
        (tmp_path / user / "state").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    yield stand
    stand.server.shutdown()


def lasts(tmp_path: Path, minutes: float) -> None:
    """The window is as long as that from now on."""
    place = tmp_path / "maintenance.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "minutes": minutes}))


def measured(place: Path, needed: int = 1, jobs: int = 0, age: float = -600) -> None:
    """What the monitoring's file says; `age` seconds ago (below zero: it looks again while we wait)."""
    at = int(time.time() - age)
    place.write_text(
        f"hangar_reboot_needed {needed}.0\nhangar_airbyte_jobs_running {jobs}.0\n"
        + "".join(
            f'hangar_measured_timestamp_seconds{{source="{name}"}} {at}\n' for name in ("reboot", "airbyte")
        )
    )


def asked(tmp_path: Path) -> list[str]:
    place = tmp_path / "asked"
    return (
        [line for line in place.read_text().splitlines() if "is-active" not in line] if place.exists() else []
    )


def run(*argv: str) -> int | str:
    """How the program ends: 0, or what it says on standard error."""
    try:
        program.main(list(argv), "usage")
    except SystemExit as end:
        return end.code or 0
    return 0
