"""The machine's program for the credentials of the embedded engine's clients, in a folder of the test's own."""

from __future__ import annotations

import grp
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates.render import render

ROLES = Path(__file__).resolve().parents[2] / "roles"
FILES = ("airflow/secrets/airbyte_client_id", "airflow/secrets/airbyte_client_secret",
         "airbyte/secrets/airbyte_client_id", "airbyte/secrets/airbyte_client_secret")  # fmt: skip
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="secrets belong to root")


class Machine:
    """The program as the machine has it, with its folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.srv = folder / "srv"
        self.listed = self.srv / "airbyte/clients/clients.json"
        for place in ("airflow/secrets", "airbyte/secrets", "airbyte/clients"):
            (self.srv / place).mkdir(parents=True)
        group = grp.getgrgid(0).gr_name
        clients = {
            "airflow": {"scope": "orchestrator", "folder": f"{self.srv}/airflow/secrets", "group": group},
            "operator": {"scope": "admin", "folder": f"{self.srv}/airbyte/secrets", "group": group},
        }
        text = render("airbyte", "/usr/local/sbin/airbyte-secrets", airbyte_clients=clients)
        text = text.replace("/srv/airbyte/clients", f"{self.srv}/airbyte/clients")
        text = text.replace(
            "/usr/local/lib/hangar", str(ROLES / "service_users/templates/usr/local/lib/hangar")
        )
        self.program = folder / "airbyte-secrets"
        self.program.write_text(re.sub(r', "airbyte"\)$', f', "{group}")', text, flags=re.MULTILINE))

    def call(self, *arguments: str, status: int = 0) -> str:
        argv = [sys.executable, "-IB", str(self.program), *arguments]
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def content(self) -> dict[str, str]:
        return {name: (self.srv / name).read_text() for name in FILES}

    def admits(self, client: str) -> bool:
        """Whether the list that the engine reads has the client's id with the hash of its secret, and no secret."""
        folder = self.srv / {"airflow": "airflow", "operator": "airbyte"}[client] / "secrets"
        identifier, secret = ((folder / f"airbyte_client_{name}").read_text() for name in ("id", "secret"))
        text = self.listed.read_text()
        assert secret not in text
        known = {one["id"]: one["secret_sha256"] for one in json.loads(text)["clients"]}
        return known.get(identifier) == hashlib.sha256(secret.encode()).hexdigest()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    assert machine.call("ensure") == ""
    return machine


def test_credentials_are_made_once_and_the_engine_keeps_hashes_of_them(machine: Machine) -> None:
    before = machine.content()
    assert min(len(before[name]) for name in FILES if name.endswith("secret")) >= 64
    assert machine.admits("airflow")
    assert machine.admits("operator")
    scopes = [one["scope"] for one in json.loads(machine.listed.read_text())["clients"]]
    assert scopes == ["orchestrator", "admin"]
    assert {(machine.srv / name).stat().st_mode & 0o7777 for name in FILES} == {0o440}
    assert machine.call("look") == machine.call("ensure") == ""
    assert machine.content() == before


@pytest.mark.parametrize("name", FILES)
def test_an_empty_file_and_a_link_are_no_credentials(machine: Machine, name: str, tmp_path: Path) -> None:
    """Whoever knows the id would know an empty secret too"""
    place = machine.srv / name
    for spoil in (lambda: place.touch(), lambda: place.symlink_to(tmp_path / "elsewhere")):
        (tmp_path / "elsewhere").write_text("chosen by somebody else")
        place.unlink()
        spoil()
        assert str(place) in machine.call("look")
        machine.call("ensure")
        assert not place.is_symlink()
        assert len(place.read_text()) > 16
        assert place.read_text() != "chosen by somebody else"
        assert machine.admits("airflow")
        assert machine.admits("operator")
        assert machine.call("look") == ""


def test_a_renewed_secret_is_another_and_nobody_elses_changes(machine: Machine) -> None:
    before = machine.content()
    assert machine.call("renew", "airflow") == ""
    after = machine.content()
    assert [name for name in FILES if after[name] != before[name]] == [FILES[1]]
    assert machine.admits("airflow")
    assert machine.admits("operator")
    assert machine.call("look") == ""


@pytest.mark.parametrize("written", [FILES[1], "airbyte/clients/clients.json"])
def test_a_renewal_that_was_killed_is_finished_by_the_next_ensure(machine: Machine, written: str) -> None:
    """Killed after the one or the other file was written, the next call makes both fit"""
    old = {place: (machine.srv / place).read_text() for place in (FILES[1], "airbyte/clients/clients.json")}
    machine.call("renew", "airflow")
    for place, content in old.items():
        if place != written:
            (machine.srv / place).write_text(content)
    assert not machine.admits("airflow")
    assert str(machine.listed) in machine.call("look")
    machine.call("ensure")
    assert machine.admits("airflow")
    assert machine.call("look") == ""


def test_who_is_no_client_is_named_with_those_that_are(machine: Machine) -> None:
    before = machine.content()
    assert machine.call("renew", "nobody", status=1) == "'nobody' is no client; there are airflow, operator\n"
    assert "airbyte-secrets renew NAME" in machine.call("remove", status=1)
    assert machine.content() == before
