"""The filter in front of Airbyte's platform, run by HAProxy itself: who gets a token, and what passes."""

from __future__ import annotations

import hashlib
import http.client
import http.server
import json
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.runtime import free_port
from tests.templates.render import render

HAPROXY = os.environ.get("HAPROXY") or shutil.which("haproxy", path="/usr/sbin")
pytestmark = pytest.mark.skipif(
    HAPROXY is None, reason="HAProxy is not installed here: apt-get install haproxy"
)

BASE = "/api/public/v1"
ADMINISTRATOR = {"client_id": "admin", "client_secret": 'of "Airbyte"', "grant_type": "client_credentials"}
AIRFLOW = {"client_id": "airflow-1", "client_secret": "of-airflow", "grant_type": "client_credentials"}
Answer = tuple[int, Any]


class Platform(http.server.BaseHTTPRequestHandler):
    """Airbyte as far as this goes: one client, which gets a token; everything else is repeated."""

    def body(self) -> bytes:
        """What HAProxy asks by itself comes in pieces, since its release 3.0 whatever length it is told."""
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = b""
        while size := int(self.rfile.readline(), 16):
            found += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return found

    def handle_any(self) -> None:
        body = self.body()
        if self.path.endswith("/applications/token"):
            known = json.loads(body) == ADMINISTRATOR
            self.answer(
                200 if known else 400, {"access_token": "of Airbyte", "expires_in": 900} if known else {}
            )
        else:
            seen = {"method": self.command, "path": self.path, "host": self.headers.get("Host")}
            self.answer(200, {**seen, "body": body.decode(), "token": self.headers.get("Authorization")})

    do_GET = do_POST = do_DELETE = do_PUT = handle_any

    def answer(self, status: int, content: object) -> None:
        text = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        pass


class Filter:
    """HAProxy with the role's own files, over a platform that may be told to go away."""

    def __init__(self, folder: Path) -> None:
        self.platform = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Platform)
        threading.Thread(target=self.platform.serve_forever, daemon=True).start()
        self.port, self.folder = free_port(), folder
        ports = {"airbyte_abctl_filter_port": self.port, "airbyte_abctl_port": self.platform.server_port}
        for kind in ("lua", "cfg"):
            text = render("airbyte_abctl", f"/etc/hangar/airbyte-filter.{kind}", **ports)
            (folder / f"airbyte-filter.{kind}").write_text(text.replace("/etc/hangar", str(folder)))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, clients: str, operator: object = ADMINISTRATOR) -> None:
        (self.folder / "clients").write_text(clients)
        (self.folder / "operator").write_text(json.dumps(operator))
        environment = os.environ | {"CREDENTIALS_DIRECTORY": str(self.folder)}
        argv = [str(HAPROXY), "-db", "-f", str(self.folder / "airbyte-filter.cfg")]
        self.log = (self.folder / "log").open("ab")
        self.process = subprocess.Popen(argv, env=environment, stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
        self.platform.shutdown()
        self.platform.server_close()

    def ask(self, method: str, path: str, body: str | None = None, **headers: str) -> Answer:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        link.request(method, BASE + path, body, headers)
        answer = link.getresponse()
        text = answer.read().decode()
        return answer.status, json.loads(text) if text else None

    def token(self, given: object, **headers: str) -> Answer:
        return self.ask("POST", "/applications/token", json.dumps(given), **headers)


def hashed(client: dict[str, str]) -> str:
    return hashlib.sha256(f"{client['client_id']}:{client['client_secret']}".encode()).hexdigest().upper()


@pytest.fixture
def filter_(tmp_path: Path) -> Iterator[Filter]:
    found = Filter(tmp_path)
    yield found
    found.stop()


@pytest.fixture
def usual(filter_: Filter) -> Filter:
    filter_.start(f"{'0' * 64}\n{hashed(AIRFLOW)}")
    return filter_


GIVEN = (200, {"access_token": "of Airbyte", "expires_in": 900})
REFUSED = {
    "status": 401,
    "title": "unauthorized",
    "detail": "There is no client with this id and this secret.",
}


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", ""])
def test_airflow_gets_a_token_of_airbytes_with_a_secret_that_airbyte_does_not_know(
    usual: Filter, kind: str
) -> None:
    assert usual.token(AIRFLOW, **({"Content-Type": kind} if kind else {})) == GIVEN


def test_airflows_own_client_sends_a_form(usual: Filter) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert usual.ask("POST", "/applications/token", urlencode(AIRFLOW), **form) == GIVEN
    wrong = urlencode({**AIRFLOW, "client_secret": "other"})
    assert usual.ask("POST", "/applications/token", wrong, **form) == (401, REFUSED)


@pytest.mark.parametrize(
    "given",
    [
        {**AIRFLOW, "client_secret": "other"}, {**AIRFLOW, "client_id": "other"}, ADMINISTRATOR, {}, [], "x", None,
        {"client_id": "airflow-1"}, {**AIRFLOW, "client_secret": ["of-airflow"]}, {**AIRFLOW, "client_secret": None},
        {"client_id": "", "client_secret": ""},
    ],
)  # fmt: skip
def test_nobody_else_gets_one_the_administrator_included(usual: Filter, given: object) -> None:
    assert usual.token(given, **{"Content-Type": "application/json"}) == (401, REFUSED)


def test_a_filter_that_was_given_nothing_yet_knows_nobody(filter_: Filter) -> None:
    filter_.start("nobody", {})
    assert filter_.token(AIRFLOW)[0] == 401
    assert filter_.ask("GET", "/workspaces")[0] == 200, "Airbyte itself judges whoever brings a token"


@pytest.mark.parametrize("gone", [True, False], ids=["Airbyte is gone", "Airbyte refuses its administrator"])
def test_no_token_is_told_as_such(filter_: Filter, gone: bool) -> None:
    filter_.start(hashed(AIRFLOW), {**ADMINISTRATOR, "client_secret": "old"})
    if gone:
        filter_.platform.shutdown()
        filter_.platform.server_close()
    detail = "Airbyte gives the filter no token."
    assert filter_.token(AIRFLOW) == (503, {"status": 503, "title": "service-unavailable", "detail": detail})


def test_what_is_admitted_reaches_airbyte_as_it_was_sent(usual: Filter) -> None:
    status, seen = usual.ask("POST", "/jobs", '{"jobType": "sync"}', Authorization="Bearer x")
    host = f"localhost:{usual.platform.server_port}"
    assert (status, seen) == (200, {"method": "POST", "path": f"{BASE}/jobs", "host": host,
                                    "body": '{"jobType": "sync"}', "token": "Bearer x"})  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/applications/token"), ("PUT", "/applications/token"), ("POST", "/applications"),
     ("GET", "/applications"), ("POST", "/applications/token/"), ("POST", "//applications/token"),
     ("DELETE", "/connections/1")],
)  # fmt: skip
def test_nothing_else_is_admitted(usual: Filter, method: str, path: str) -> None:
    assert usual.ask(method, path, json.dumps(AIRFLOW))[0] == 403


def test_a_body_that_is_too_large_is_refused(usual: Filter) -> None:
    assert usual.token({**AIRFLOW, "more": "x" * 20_000})[0] in (403, 413)
