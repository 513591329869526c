"""What root asks a service is asked of nobody else: an answer that leads elsewhere would have root's way through the
firewall, and what was meant for the service, at the service's choice.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

import pytest
from hangar_abctl.machine import Api
from hangar_monitoring import services

from hangar.airbyte.remote.api import Api as AirbyteApi
from hangar.paths import REPO
from hangar.rotation import agent as rotation
from hangar.serving import Refusal


class Leading(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        self.send_response(302 if self.path != "/elsewhere" else 200)
        self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is the test's own."""


@pytest.fixture
def port() -> Iterator[int]:
    Leading.asked.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Leading) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port
        server.shutdown()


def test_who_measures_stays(port: int) -> None:
    (found,) = services.airflow(port)
    assert (found.name, found.value) == ("hangar_airflow_healthy", 0.0)
    assert Leading.asked == ["/api/v2/monitor/health"]


def test_who_keeps_airbytes_platform_stays(port: int) -> None:
    assert Api(port).ask("GET", "/applications", token="the-token")[0] == 302
    assert Leading.asked == ["/api/public/v1/applications"]


def test_who_proves_a_new_secret_stays(port: int) -> None:
    assert rotation.ask(f"http://127.0.0.1:{port}/api/v1/status/buildinfo", login="admin:secret")[0] == 302
    assert Leading.asked == ["/api/v1/status/buildinfo"]


def test_whoever_asks_airbyte_for_an_operator_stays(port: int) -> None:
    with pytest.raises(Refusal) as refused:
        AirbyteApi(f"http://127.0.0.1:{port}", "the-id", "the-secret").call("GET", "/workspaces")
    assert refused.value.answer["status"] == 302
    assert Leading.asked == ["/applications/token"]


@pytest.mark.parametrize("source", ["airbyte/remote/api.py", "elt/agent.py", "rotation/agent.py"])
def test_whatever_speaks_to_a_service_asks_in_that_way(source: str) -> None:
    assert "web().open" in (REPO / "hangar" / source).read_text()


@pytest.mark.parametrize("package", ["airbyte", "backup", "elt", "rotation", "upgrade"])
def test_no_agent_asks_in_another_way(package: str) -> None:
    sources = list((REPO / "hangar" / package).rglob("*.py"))
    assert sources
    for source in sources:
        text = source.read_text()
        assert "build_opener" not in text, source
        assert "urlopen" not in text, source
