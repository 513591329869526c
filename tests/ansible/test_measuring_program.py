"""The measuring program, root that asks service users: none of them can end it, hold it up or fill its memory."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hangar_monitoring import containers, loop, run, services, system
from hangar_monitoring.figures import Figure, figure, text, write
from hangar_monitoring.run import Unmeasured, answer
from hangar_monitoring.statsd import Airflow

ENDLESS = "import os\nwhile True: os.write({}, b'x' * 65536)"


def test_half_a_letter_in_a_name_is_written_as_none(tmp_path: Path) -> None:
    place = tmp_path / "x.prom"
    write([figure("a", 1, container="\ud800\udc00 é \U0001f600")], place)
    assert place.read_text(encoding="utf-8") == '# TYPE a gauge\na{container="?? é \U0001f600"} 1.0\n'


def test_no_name_of_a_container_ends_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = [{"Labels": {}, "Names": ["/\ud800" + "x" * 1000], "State": "running", "Status": "Up"}]
    monkeypatch.setattr(containers, "answer", lambda *_, **__: json.dumps(said))
    written = tmp_path / "x.prom"
    monkeypatch.setattr(loop, "write", lambda figures: write(figures, written))
    fake = loop.Source("fake", 15, lambda: containers.states("airflow", 2001))
    loop.turn([fake, loop.Source("good", 15, lambda: [figure("good", 1)])], Airflow())
    assert "good 1.0" in written.read_text().splitlines()
    assert max(map(len, written.read_text().splitlines())) < 400


@pytest.mark.parametrize("descriptor", [1, 2])
def test_an_endless_answer_is_not_taken_in(descriptor: int) -> None:
    with pytest.raises(Unmeasured, match=r"says more than 4 MiB$"):
        answer([sys.executable, "-c", ENDLESS.format(descriptor)])


def test_a_program_that_does_not_end_is_ended() -> None:
    began = time.monotonic()
    with pytest.raises(Unmeasured, match=r"^sleep does not come to an end$"):
        answer(["sleep", "60"], timeout=0.2)
    with pytest.raises(Unmeasured, match=r"^sh does not come to an end$"):
        answer(["sh", "-c", "kill -STOP $$"], timeout=0.2)
    assert time.monotonic() - began < 10


def test_an_answer_comes_whole_and_a_failure_with_its_words() -> None:
    assert answer(["sh", "-c", "printf 'a\\377b'; echo no >&2"]) == "a�b"
    with pytest.raises(Unmeasured, match=r"^sh ended with 3: no$"):
        answer(["sh", "-c", "echo no >&2; exit 3"])
    with pytest.raises(Unmeasured, match=r"^/nowhere: "):
        answer(["/nowhere"])


def test_a_daemon_with_countless_containers_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    one = {"Labels": {}, "Names": ["/x"], "State": "running", "Status": "Up"}
    monkeypatch.setattr(containers, "answer", lambda *_, **__: json.dumps([one] * 201))
    with pytest.raises(Unmeasured, match="there are 201 containers; 200 are measured at most"):
        list(containers.states("airflow", 2001))


def test_who_speaks_without_end_is_given_up_and_the_others_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    def slow() -> Iterator[Figure]:
        yield figure("begun", 1)
        threading.Event().wait(30)

    source = loop.Source("slow", 15, slow, longest=0.1)
    source.ask()
    assert figure("hangar_measured_ok", 0, source="slow") in source.known
    assert capsys.readouterr().err == "slow cannot be measured: TimeoutError: it took more than 0.1 s\n"
    assert "hangar_measured_ok" in text(source.known)


class Endless(http.server.BaseHTTPRequestHandler):
    """Says no length, and never comes to an end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        try:
            while True:
                self.wfile.write(b" " * 65536)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is the test's own."""


def test_an_endless_page_of_a_service_is_not_taken_in() -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endless) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            with pytest.raises(Unmeasured, match=r"/api/v2/monitor/health says more than 4 MiB$"):
                list(services.airflow(server.server_port))
        finally:
            server.shutdown()


def test_curl_is_told_how_much_is_taken_in() -> None:
    assert containers.FORM[-2:] == ["--max-filesize", str(run.MOST)]


def test_a_certificate_that_cannot_be_read_hides_no_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither those before it nor those after it; which one it is stands in the log, and an alert says so."""
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ed25519",
        "-nodes",
        "-subj",
        "/CN=a",
        "-keyout",
        "/dev/null",
    ]
    for name in ("a", "c"):
        subprocess.run([*made, "-out", tmp_path / f"{name}.pem"], check=True, capture_output=True)
    (tmp_path / "b.pem").write_text("no certificate\n")
    (tmp_path / "d.pem").symlink_to("/nowhere")
    source = loop.Source("certificates", 3600, lambda: system.certificates([f"{tmp_path}/*.pem"]))
    source.ask()
    measured = [dict(one.labels)["path"] for one in source.known if "expires" in one.name]
    assert measured == [f"{tmp_path}/a.pem", f"{tmp_path}/c.pem"]
    assert figure("hangar_measured_ok", 0, source="certificates") in source.known
    said = capsys.readouterr().err
    begins = "certificates cannot be measured: Unmeasured: no certificate can be read in"
    assert said.startswith(f"{begins} {tmp_path}/b.pem (openssl ended with 1")
    assert f"{tmp_path}/d.pem" in said
    for name in ("b", "d"):
        (tmp_path / f"{name}.pem").unlink()
    source.ask()
    assert figure("hangar_measured_ok", 1, source="certificates") in source.known
