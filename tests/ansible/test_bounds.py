"""What root asks of a service's web server comes to an end, however much it says and however slowly."""

from __future__ import annotations

import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from http.client import IncompleteRead
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import hangar_abctl.machine
import hangar_bounds
import pytest
from hangar_abctl.machine import Api
from hangar_bounds import TooLong, TooMuch, web, whole
from hangar_monitoring import prometheus
from hangar_monitoring.described import Refused
from hangar_warehouse import server

from hangar.airbyte import agent as airbyte
from hangar.elt import agent as elt
from hangar.rotation import agent as rotation
from hangar.serving import Refusal
from tests.ansible.stored import DESCRIBED


class Talking(BaseHTTPRequestHandler):
    """Says no end of words, or one at a time, or fewer than it promises."""

    def do_GET(self) -> None:
        self.send_response(500 if "refused" in self.path else 200)
        if "short" in self.path:
            self.send_header("Content-Length", "100")
        self.end_headers()
        piece, pause = (b"x", 0.05) if "slow" in self.path else (b"x" * 65536, 0)
        try:
            for _ in range(1 if "short" in self.path else 2000):
                self.wfile.write(piece[:50] if "short" in self.path else piece)
                self.wfile.flush()
                time.sleep(pause)
        except OSError:
            pass  # nobody reads on, which is what is wanted

    do_POST = do_GET

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is the test's own."""


@pytest.fixture
def port() -> Iterator[int]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Talking) as one:
        one.daemon_threads = True
        threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True).start()
        yield one.server_port
        one.shutdown()


@pytest.fixture(autouse=True)
def little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hangar_bounds, "SAID", 1 << 20)
    monkeypatch.setattr(prometheus, "MOST", 1 << 20)
    for module, name in (
        (hangar_abctl.machine, "ASKED"), (prometheus, "TIMEOUT"), (elt, "SECONDS"), (rotation, "SECONDS"),
        (airbyte, "QUICK"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, 1)


def test_an_answer_is_taken_in_so_far_and_for_so_long(port: int) -> None:
    with pytest.raises(TooMuch, match=r"^says more than 1 MiB$"):
        whole(web().open(f"http://127.0.0.1:{port}/endless"), 60)
    with pytest.raises(TooLong, match=r"^took longer than 1 seconds$"):
        whole(web().open(f"http://127.0.0.1:{port}/slow"), 1)
    with pytest.raises(IncompleteRead):
        whole(web().open(f"http://127.0.0.1:{port}/short"), 60)
    with pytest.raises(urllib.error.HTTPError) as refused:
        web().open(f"http://127.0.0.1:{port}/refused")
    with pytest.raises(TooMuch):
        whole(refused.value, 60)


ASKING: dict[str, Callable[[int, str], object]] = {
    "rotate": lambda port, path: rotation.ask(f"http://127.0.0.1:{port}{path}"),
    "elt": lambda port, path: elt.Airflow(port)._once("GET", path, None),
    "pipelines": lambda port, path: airbyte.Api(f"http://127.0.0.1:{port}", "", "")._send(
        "GET", path, None, 1, "", f"http://127.0.0.1:{port}"
    ),
    "status": lambda port, path: prometheus._open(f"http://127.0.0.1:{port}{path}"),
}


@pytest.mark.parametrize("who", ASKING)
def test_whoever_asks_gives_it_up_in_words(
    who: str, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "scraper_password").touch()
    monkeypatch.setattr(prometheus, "SECRETS", tmp_path)
    for path, words in (("/endless", "says more than 1 MiB"), ("/slow", "took longer than 1 seconds")):
        with pytest.raises((Refusal, Refused), match=rf"{words}$"):
            ASKING[who](port, path)


@pytest.mark.parametrize("path", ["/endless", "/slow", "/refused"])
def test_a_platform_that_talks_without_end_is_one_that_does_not_answer(port: int, path: str) -> None:
    assert Api(port).ask("GET", path) == (0, None)


def program(place: Path, script: str) -> None:
    place.write_text(f"#!/bin/sh\n{script}\n")
    place.chmod(0o755)


@pytest.mark.parametrize(
    ("script", "words"), [("exec yes", "says more than 1 MiB"), ("sleep 60", "took longer than 1 seconds")]
)
def test_programs_of_services_are_given_up_in_words(
    script: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program(tmp_path / "as-service", script)
    program(tmp_path / "psql", script)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(server, "command", lambda *_: [str(tmp_path / "psql")])
    monkeypatch.setattr(server, "account", lambda _: {})
    monkeypatch.setattr(server, "ANSWERED", 1)
    with pytest.raises(SystemExit) as ended:
        hangar_abctl.machine.as_airbyte("docker", "ps", seconds=1)
    assert ended.value.code == f"as-service airbyte docker ps: {words}"
    with pytest.raises(server.Refused) as refused:
        server.psql(DESCRIBED, "warehouse", "select 1")
    assert str(refused.value) == f"The warehouse's server was given up: it {words}"


@pytest.mark.parametrize(
    ("then", "kind", "said"), [("sleep 30", TooLong, "half\n"), ("exec cat /dev/zero", TooMuch, "")]
)
def test_how_far_a_program_came_is_told_of_one_that_was_ended(
    then: str, kind: type[hangar_bounds.Unbounded], said: str
) -> None:
    with pytest.raises(kind) as ended:
        hangar_bounds.run(["sh", "-c", f"echo step >&2; echo half; {then}"], seconds=2, most=1 << 20)
    assert (ended.value.said, ended.value.complaint) == (said, "step\n")
