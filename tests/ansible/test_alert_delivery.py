"""What arrives: Debian's Alertmanager with the role's settings and templates, before a mail server, Slack and a webhook
of the test's own.
"""

from __future__ import annotations

import base64
import contextlib
import email
import email.message
import http.server
import json
import os
import queue
import re
import shutil
import socketserver
import ssl
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hangar.paths import REPO
from tests.runtime import free_port
from tests.templates.render import render

PROGRAM = shutil.which("prometheus-alertmanager")
ITS_OWN = Path("/usr/share/prometheus/alertmanager/default.tmpl")
"""Debian's Alertmanager does not start without its own templates."""


def is_recent() -> bool:
    """Whether it reads addresses of receivers from files, as Debian 13's does."""
    if PROGRAM is None or not ITS_OWN.exists():
        return False
    said = subprocess.run([PROGRAM, "--version"], capture_output=True, text=True, check=True)
    found = re.search(r"version (\d+)\.(\d+)", said.stdout + said.stderr)
    return found is not None and (int(found[1]), int(found[2])) >= (0, 26)


# CI brings it, so there it fails instead.
pytestmark = pytest.mark.skipif(
    not is_recent() and os.environ.get("CI") != "true",
    reason="Debian 13's prometheus-alertmanager is not here: .ci/run brings it",
)

ROLE = {"role_path": str(REPO / "roles/monitoring")}
WORDS = REPO / "roles/monitoring/templates/etc/hangar/monitoring/alerts.tmpl"
WAITS = 60
"""Seconds for a message, on a busy computer."""

FULL = {
    "labels": {"alertname": "DiskFull", "level": "critical", "machine": "hangar-night", "mountpoint": "/srv"},
    "annotations": {"reason": "/srv is <95% full> & grows.", "action": "Make room: du -xh /srv"},
}
OTHER = {
    "labels": {**FULL["labels"], "mountpoint": "/"},
    "annotations": {"reason": "/ is full.", "action": "Make room: du -xh /"},
}


@dataclass
class Mail:
    """One that arrived, with whoever logged in and whether the way was encrypted."""

    login: str
    encrypted: bool
    to: str
    message: email.message.Message


class MailServer(socketserver.ThreadingTCPServer):
    """Speaks as much SMTP as Alertmanager does; `offers_tls` False is a server that keeps nothing secret."""

    daemon_threads = True

    def __init__(self, folder: Path, offers_tls: bool) -> None:
        super().__init__(("127.0.0.1", 0), MailSession)
        self.arrived: queue.Queue[Mail] = queue.Queue()
        self.offers_tls = offers_tls
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(folder / "mail.pem", folder / "mail.key")


class MailSession(socketserver.StreamRequestHandler):
    server: MailServer

    def say(self, *lines: str) -> None:
        self.wfile.write("".join(f"{line}\r\n" for line in lines).encode())

    def handle(self) -> None:
        encrypted, login, to = False, "", ""
        self.say("220 localhost")
        while line := self.rfile.readline().decode().strip():
            word, _, rest = line.partition(" ")
            match word.upper():
                case "EHLO":
                    extra = ["250-AUTH PLAIN"] if encrypted or not self.server.offers_tls else []
                    offered = ["250-STARTTLS"] if self.server.offers_tls and not encrypted else []
                    self.say("250-localhost", *offered, *extra, "250 8BITMIME")
                case "STARTTLS":
                    self.say("220 go on")
                    self.request = self.server.context.wrap_socket(self.request, server_side=True)
                    self.setup()
                    encrypted = True
                case "AUTH":
                    login = base64.b64decode(rest.split()[1]).decode().replace("\0", " ").strip()
                    self.say("235 come in")
                case "RCPT":
                    to = rest
                    self.say("250 well")
                case "DATA":
                    self.say("354 go on")
                    body = b""
                    while (said := self.rfile.readline()) not in (b".\r\n", b""):
                        body += said
                    self.server.arrived.put(Mail(login, encrypted, to, email.message_from_bytes(body)))
                    self.say("250 well")
                case "QUIT":
                    self.say("221 bye")
                    return
                case _:
                    self.say("250 well")


class Hook(http.server.BaseHTTPRequestHandler):
    """Slack, and the webhook: keeps what it is sent, by the path."""

    server: HookServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.arrived[self.path].put(body)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Nothing: what is asked is the test's own."""


class HookServer(http.server.ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Hook)
        self.arrived: dict[str, queue.Queue[dict[str, Any]]] = {
            path: queue.Queue() for path in ("/services/T/B/x", "/pager")
        }


@contextlib.contextmanager
def serving(server: socketserver.BaseServer) -> Iterator[None]:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class Told:
    """The running Alertmanager, and what it sends to."""

    address: str
    mail: MailServer
    hooks: HookServer

    def post(self, seconds: int, *alerts: dict[str, Any]) -> None:
        """Alerts that last as long; a negative time ends them."""
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        self.ask("alerts", json.dumps([{**one, "endsAt": moment} for one in alerts]).encode())

    def ask(self, path: str, body: bytes | None = None) -> str:
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.address}/{path}", body, headers)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as answer:
            return str(answer.read().decode())


def settings(folder: Path, mail: MailServer, hooks: HookServer) -> str:
    """The role's, with the test's folder for the machine's and without its waiting."""
    for name, said in (
        ("SLACK", f"http://127.0.0.1:{hooks.server_port}/services/T/B/x"),
        ("PAGER", f"http://127.0.0.1:{hooks.server_port}/pager"),
        ("SMTP", "correct-horse"),
    ):
        (folder / name).write_text(said)
    shutil.copy(WORDS, folder)
    receivers = {
        "team": {"kind": "slack", "secret": "SLACK", "channel": "#data"},
        "night": {"kind": "webhook", "secret": "PAGER"},
        "mail": {"kind": "email", "to": "ana@example.org", "from": "hangar@example.org", "login": "hangar",
                 "secret": "SMTP", "server": f"localhost:{mail.server_address[1]}"},
    }  # fmt: skip
    text = render(
        "monitoring", "/etc/hangar/monitoring/alertmanager.yml", monitoring_receivers=receivers, **ROLE
    )
    for here, there in (
        ("/srv/monitoring/secrets", str(folder)),
        ("/etc/hangar/monitoring", str(folder)),
        ("group_wait: 5s", "group_wait: 1s"),
        ("group_interval: 10s", "group_interval: 1s"),
    ):
        assert here in text, here
        text = text.replace(here, there)
    return text


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificate")
    argv = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj", "/CN=localhost",
            "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "mail.key",
            "-out", folder / "mail.pem"]  # fmt: skip
    subprocess.run(argv, check=True, capture_output=True)
    return folder


@contextlib.contextmanager
def running(folder: Path, certificate: Path, *, offers_tls: bool) -> Iterator[Told]:
    mail, hooks, port = MailServer(certificate, offers_tls), HookServer(), free_port()
    (folder / "alertmanager.yml").write_text(settings(folder, mail, hooks))
    argv = [str(PROGRAM), f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]  # fmt: skip
    surroundings = {**os.environ, "SSL_CERT_FILE": str(certificate / "mail.pem"), "SSL_CERT_DIR": "/nowhere"}
    with serving(mail), serving(hooks), (folder / "log").open("w") as log:
        process = subprocess.Popen(argv, stderr=log, env=surroundings)
        told = Told(f"http://127.0.0.1:{port}/api/v2", mail, hooks)
        try:
            until(lambda: bool(told.ask("status")), process, folder / "log")
            yield told
        finally:
            process.terminate()
            process.wait(30)


def until(is_so: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + WAITS
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if is_so():
                return
        time.sleep(0.1)
    raise AssertionError(log.read_text())


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory, certificate: Path) -> Iterator[Told]:
    """Two alerts of one kind that fire, then end."""
    with running(tmp_path_factory.mktemp("delivery"), certificate, offers_tls=True) as found:
        found.post(600, FULL, OTHER)
        yield found


TITLE = "CRITICAL: DiskFull on hangar-night"
TEXT = "/srv is <95% full> & grows.\nWhat to do: Make room: du -xh /srv\n"
AND = "/ is full.\nWhat to do: Make room: du -xh /\n"


@pytest.fixture(scope="module")
def firing(told: Told) -> dict[str, Any]:
    return {
        "mail": told.mail.arrived.get(timeout=WAITS),
        **{path: one.get(timeout=WAITS) for path, one in told.hooks.arrived.items()},
    }


@pytest.fixture(scope="module")
def ended(told: Told, firing: dict[str, Any]) -> dict[str, Any]:
    told.post(-1, FULL, OTHER)
    return {
        "mail": told.mail.arrived.get(timeout=WAITS),
        **{path: one.get(timeout=WAITS) for path, one in told.hooks.arrived.items()},
    }


def text_of(mail: Mail) -> str:
    parts = [part for part in mail.message.walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == ["text/plain"]
    said = parts[0].get_payload(decode=True)
    assert isinstance(said, bytes)
    return said.decode().replace("\r\n", "\n")


def test_mail_says_what_is_wrong_and_what_to_do(firing: dict[str, Any]) -> None:
    mail = firing["mail"]
    assert (mail.message["Subject"], mail.message["From"], mail.message["To"]) == (
        TITLE,
        "hangar@example.org",
        "ana@example.org",
    )
    assert text_of(mail).strip() == (AND + TEXT).strip()


def test_mail_is_sent_encrypted_to_whoever_is_named(firing: dict[str, Any]) -> None:
    mail = firing["mail"]
    assert (mail.encrypted, mail.login, mail.to) == (True, "hangar correct-horse", "TO:<ana@example.org>")


def test_slack_says_what_is_wrong_and_what_to_do(firing: dict[str, Any]) -> None:
    said = firing["/services/T/B/x"]
    (attachment,) = said["attachments"]
    assert said["channel"] == "#data"
    assert (attachment["title"], attachment["color"]) == (TITLE, "danger")
    assert attachment["text"].strip() == (AND + TEXT).strip()


def test_a_webhook_gets_every_alert_with_its_words(firing: dict[str, Any]) -> None:
    said = firing["/pager"]
    assert (said["status"], said["receiver"]) == ("firing", "night")
    assert [one["annotations"]["reason"] for one in said["alerts"]] == [
        "/ is full.",
        "/srv is <95% full> & grows.",
    ]


def test_the_end_is_told_everywhere_and_nothing_to_do_any_more(ended: dict[str, Any]) -> None:
    title = "RESOLVED: DiskFull on hangar-night"
    (attachment,) = ended["/services/T/B/x"]["attachments"]
    assert (ended["mail"].message["Subject"], attachment["title"], attachment["color"]) == (
        title,
        title,
        "good",
    )
    for text in (text_of(ended["mail"]), attachment["text"]):
        assert text.split("\n")[:2] == ["/ is full.", "/srv is <95% full> & grows."]
        assert "What to do" not in text
    assert ended["/pager"]["status"] == "resolved"


def test_a_mail_server_without_encryption_gets_neither_password_nor_mail(
    tmp_path: Path, certificate: Path
) -> None:
    """That it fails is an alert of its own (AlertsNotDelivered); Slack is told all the same."""
    with running(tmp_path, certificate, offers_tls=False) as found:
        found.post(600, FULL)
        assert found.hooks.arrived["/services/T/B/x"].get(timeout=WAITS)["attachments"][0]["title"] == TITLE
        end = time.monotonic() + WAITS
        while "does not advertise the STARTTLS" not in (said := (tmp_path / "log").read_text()):
            assert time.monotonic() < end, said
            time.sleep(0.1)
        assert found.mail.arrived.empty()
