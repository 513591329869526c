"""What reads secrets from Secret Manager on the machine, against the stand-in for Google's API."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.foreign import foreign as foreign
from tests.google.client import Google
from tests.google.conftest import PROJECT, Cloud
from tests.google.fixture import google, google_server

__all__ = ["google", "google_server"]

ROLES = Path(__file__).resolve().parents[2] / "roles"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="secrets belong to root")

SECRETS = f"v1/projects/{PROJECT}/secrets"
MACHINE = "hangar-production"
ADD = f"gcloud secrets versions add hangar-erp --project {PROJECT} --data-file FILE"


class Metadata(BaseHTTPRequestHandler):
    """Google's metadata server: gives the machine's account a token, to whoever says the word."""

    token = ""

    def do_GET(self) -> None:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        right = self.path == path and self.headers.get("Metadata-Flavor") == "Google"
        body = {"access_token": self.token, "expires_in": 3599, "token_type": "Bearer"} if right else {}
        self.send_response(200 if right and self.token else 404)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def metadata() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Metadata)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


class Machine:
    """The program as the machine has it, with its folder and its description below `folder`."""

    def __init__(self, folder: Path, google: Google, metadata: str) -> None:
        self.google, self.operator = google, Cloud(google)
        self.kept, self.described = folder / "run", folder / "secrets.json"
        self.kept.mkdir()
        self.settings = {"endpoint": google.base_url, "identity": metadata, "patience": 0, "secrets": {}}
        account = Cloud(google, MACHINE)
        account.request("GET", SECRETS)  # a token is fetched with the first call
        Metadata.token = account.credentials.token
        self.library = folder / "library"
        for role in ("secret_manager", "service_users"):
            source = ROLES / role / "templates/usr/local/lib/hangar"
            subprocess.run(["cp", "-r", f"{source}/.", self.library], check=True)
        for name, old, new in (
            ("kept.py", "/run/hangar-secrets", self.kept), ("program.py", "/etc/hangar/secrets.json", self.described),
        ):  # fmt: skip
            path = self.library / "hangar_secrets" / name
            path.write_text(path.read_text().replace(old, str(new)))
        text = (ROLES / "secret_manager/templates/usr/local/sbin/google-secrets").read_text()
        self.program = folder / "google-secrets"
        self.program.write_text(text.replace("/usr/local/lib/hangar", str(self.library)))

    def describe(self, *names: str, version: str = "latest", group: str = "root", **more: Any) -> None:
        found = {
            name: {"secret": f"projects/{PROJECT}/secrets/hangar-{name}", "version": version, "group": group}
            for name in names
        }
        self.described.write_text(json.dumps(self.settings | {"secrets": found} | more))

    def make(self, name: str, *values: str, readable: bool = True) -> None:
        """A secret with these versions, which the machine's account may read."""
        path = f"{SECRETS}/hangar-{name}"
        given = {"params": {"secretId": f"hangar-{name}"}, "json": {"replication": {"automatic": {}}}}
        self.operator.request("POST", SECRETS, **given)
        for value in values:
            self.add(name, value)
        if readable:
            member = f"serviceAccount:{MACHINE}@{PROJECT}.iam.gserviceaccount.com"
            found = self.operator.request("GET", f"{path}:getIamPolicy").json()
            found["bindings"] = [{"role": "roles/secretmanager.secretAccessor", "members": [member]}]
            self.operator.request("POST", f"{path}:setIamPolicy", json={"policy": found})

    def add(self, name: str, value: str | bytes) -> None:
        data = value.encode() if isinstance(value, str) else value
        body = {"payload": {"data": base64.b64encode(data).decode()}}
        self.operator.request("POST", f"{SECRETS}/hangar-{name}:addVersion", json=body)

    def call(self, verb: str = "fetch", *, status: int = 0) -> str:
        argv = [sys.executable, "-IB", str(self.program), verb]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def files(self) -> dict[str, str]:
        return {one.name: one.read_text() for one in self.kept.iterdir() if not one.name.startswith(".")}


@pytest.fixture
def machine(tmp_path: Path, google: Google, metadata: str) -> Machine:
    google.tolerates_violations = True  # listing secrets is not imitated; it only fetches a token
    return Machine(tmp_path, google, metadata)


def test_what_is_named_is_read_and_nothing_is_said_of_its_value(machine: Machine) -> None:
    machine.make("erp", "hunter2\n")
    machine.make("mail", "letter box")
    machine.describe("erp", "mail")
    assert machine.call("look") == "erp: version 1\nmail: version 1\n"
    assert machine.files() == {}
    assert machine.call() == "erp: version 1\nmail: version 1\n"
    assert machine.files() == {"erp": "hunter2", "mail": "letter box"}
    assert machine.call() == machine.call("look") == ""


def test_a_file_is_roots_and_its_groups_and_nobody_elses(machine: Machine) -> None:
    machine.make("erp", "hunter2")
    machine.describe("erp", group="701")
    machine.call()
    found = (machine.kept / "erp").stat()
    assert (found.st_uid, found.st_gid, oct(found.st_mode & 0o7777)) == (0, 701, "0o440")
    (machine.kept / "erp").chmod(0o444)
    assert machine.call() == "erp: version 1 (was 1)\n"
    assert oct((machine.kept / "erp").stat().st_mode & 0o7777) == "0o440"


def test_a_new_version_is_picked_up_and_recorded(machine: Machine) -> None:
    machine.make("erp", "one")
    machine.describe("erp")
    machine.call()
    machine.add("erp", "two")
    assert machine.call("look") == "erp: version 2 (was 1)\n"
    machine.call()
    assert machine.files() == {"erp": "two"}
    listed = json.loads(machine.call("list"))
    assert (listed["erp"]["version"], set(listed["erp"])) == ("2", {"secret", "version", "since"})


def test_a_pinned_version_stays(machine: Machine) -> None:
    machine.make("erp", "one", "two")
    machine.describe("erp", version="1")
    machine.call()
    assert machine.files() == {"erp": "one"}


def test_what_is_no_longer_named_goes(machine: Machine) -> None:
    machine.make("erp", "one")
    machine.make("mail", "two")
    machine.describe("erp", "mail")
    machine.call()
    machine.describe("mail")
    assert machine.call() == "erp: no longer named\n"
    assert machine.files() == {"mail": "two"}
    assert set(json.loads(machine.call("list"))) == {"mail"}


def test_one_that_cannot_be_read_is_named_with_its_cure_and_the_others_are_read(machine: Machine) -> None:
    machine.make("erp", "one", readable=False)
    machine.make("mail", "two")
    machine.describe("erp", "mail")
    said = machine.call(status=1)
    assert said == (
        "mail: version 1\n"
        f"google-secrets: erp: This machine's account may not read projects/{PROJECT}/secrets/hangar-erp "
        "(secretmanager.versions.access; Google said: Permission 'secretmanager.versions.access' denied on resource "
        "(or it may not exist).). ./provision.py up gives it the role, or names who has to.\n"
    )
    assert machine.files() == {"mail": "two"}


@pytest.mark.parametrize(("verb", "state"), [("disable", "DISABLED"), ("destroy", "DESTROYED")])
def test_a_version_that_is_switched_off_leaves_the_one_that_is_here(
    machine: Machine, verb: str, state: str
) -> None:
    machine.make("erp", "one")
    machine.describe("erp")
    machine.call()
    machine.add("erp", "two")
    machine.operator.request("POST", f"{SECRETS}/hangar-erp/versions/2:{verb}", json={})
    said = machine.call(status=1)
    assert f"is in {state} state" in said
    assert f"gcloud secrets versions list hangar-erp --project {PROJECT}\n  Add one: {ADD}" in said
    assert machine.files() == {"erp": "one"}


def test_a_secret_without_a_version_is_said_to_have_none(machine: Machine) -> None:
    machine.make("erp")
    machine.describe("erp")
    place = f"projects/{PROJECT}/secrets/hangar-erp"
    assert machine.call(status=1) == (
        f"google-secrets: erp: {place} is not there, or has no version. Add one: {ADD}\n"
    )


def test_what_is_no_text_is_refused(machine: Machine) -> None:
    machine.make("erp")
    machine.add("erp", b"\xff\xfe")
    machine.describe("erp")
    assert "/versions/latest is no text in UTF-8." in machine.call(status=1)
    machine.add("erp", "\n")
    assert "/versions/latest is empty." in machine.call(status=1)


@pytest.mark.parametrize("kinds", [("503-before", "429"), ("reset-before", "503-after")])
def test_what_passes_is_tried_again(machine: Machine, kinds: tuple[str, ...]) -> None:
    machine.make("erp", "one")
    machine.describe("erp", patience=20)
    faults = [
        machine.google.fault("secretmanager.projects.secrets.versions.access", kind, nth=number)
        for number, kind in enumerate(kinds, start=1)
    ]
    assert machine.call() == "erp: version 1\n"
    assert [machine.google.fired(one) for one in faults] == [1] * len(faults)


def test_a_machine_without_an_account_says_so_and_keeps_what_it_has(machine: Machine, metadata: str) -> None:
    machine.make("erp", "one")
    machine.describe("erp")
    machine.call()
    Metadata.token = ""
    said = machine.call(status=1)
    assert said.startswith(f"google-secrets: The metadata server gives this machine no token ({metadata}/")
    assert said.endswith("Does the machine have a service account? ./provision.py plan shows it.\n")
    assert machine.files() == {"erp": "one"}


def test_who_speaks_no_http_is_not_the_metadata_server(machine: Machine, foreign: int) -> None:
    machine.make("erp", "one")
    machine.settings["identity"] = f"http://127.0.0.1:{foreign}"
    machine.describe("erp")
    assert machine.call(status=1).startswith(
        "google-secrets: The metadata server gives this machine no token ("
    )


def test_a_token_follows_nobody_elsewhere(machine: Machine) -> None:
    """A redirect is an answer like any other: the token goes to the address that was meant."""
    heard: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            heard.append(self.path)
            self.send_response(302)
            self.send_header("Location", f"http://127.0.0.1:{self.server.server_port}/stolen")  # type: ignore[attr-defined]
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    machine.describe("erp", endpoint=f"http://127.0.0.1:{server.server_port}")
    assert "Google answers 302" in machine.call(status=1)
    server.shutdown()
    assert len(heard) == 1
