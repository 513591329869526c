"""Root's maintenance asks Airflow and service users: how much they say, and whom it asks, is not theirs to choose."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
from hangar_maintenance import airflow, images
from hangar_maintenance.airflow import Airflow, Unreachable


class Evil(BaseHTTPRequestHandler):
    """Logs everybody in, then leads elsewhere or never ends."""

    asked: ClassVar[list[str]] = []

    def do_POST(self) -> None:
        self.send_response(201)
        self.end_headers()
        self.wfile.write(b'{"access_token": "the-token"}')

    def do_GET(self) -> None:
        self.asked.append(self.path)
        if self.path.startswith("/api/v2/pools"):
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/elsewhere")
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" " * 65536)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is the test's own."""


@pytest.fixture
def evil(tmp_path: Path) -> Iterator[Airflow]:
    Evil.asked = []
    (tmp_path / "password").write_text("x")
    with ThreadingHTTPServer(("127.0.0.1", 0), Evil) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Airflow(server.server_port, tmp_path / "password")
        server.shutdown()


def test_root_is_not_led_elsewhere(evil: Airflow) -> None:
    with pytest.raises(Unreachable, match=r"^Airflow refused GET /pools"):
        evil.pools()
    assert Evil.asked == ["/api/v2/pools?limit=1000"]


def test_an_answer_without_end_is_not_taken_in(evil: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow, "MOST", 1 << 20)
    with pytest.raises(Unreachable, match=r"^Airflow's answer to GET \S+ says more than 1 MiB$"):
        evil.busy()


def test_an_answer_takes_no_longer_than_is_given(evil: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow, "MOST", 1 << 40)
    monkeypatch.setattr(airflow, "LONGEST", 0.2)
    with pytest.raises(Unreachable, match=r"^Airflow's answer to GET \S+ took longer than 0.2 seconds$"):
        evil.busy()


def test_of_what_a_services_user_complains_of_the_end_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = r"head -c 30000000 /dev/zero | tr '\0' x; printf '\nno \033[2Jmirror\n'"
    (tmp_path / "as-service").write_text(f"#!/bin/sh\n{{ {said}; }} >&2\nexit 3\n")
    (tmp_path / "as-service").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(images.Failed) as failed:
        images.take("airflow")
    told = str(failed.value)
    assert told.startswith("/srv/airflow/stack/ensure of airflow ended with 3: xxx")
    assert told.endswith("x; no  [2Jmirror")
    assert len(told) < 3000
