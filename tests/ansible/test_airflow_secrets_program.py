"""The machine's program for Airflow's secrets, in a folder of the test's own."""

from __future__ import annotations

import base64
import grp
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.templates.render import render

ROLES = Path(__file__).resolve().parents[2] / "roles"
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="secrets belong to root")


class Machine:
    """The program as the machine has it, with its folders below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.secrets = folder / "srv/airflow/secrets"
        self.connections = folder / "srv/airflow/connections/connections.json"
        described = folder / "srv/airflow/stack/connections.json"
        for place in (self.secrets, self.connections.parent, described.parent):
            place.mkdir(parents=True)
        self.variables = self.connections.with_name("variables.json")
        self.described = described
        described.write_text(json.dumps({"erp": {"conn_type": "http", "password": {"secret": "erp"}}}))
        self.describe_variables({})
        (self.secrets / "erp").write_text("hunter2")
        library = ROLES / "service_users/templates/usr/local/lib/hangar"
        text = render("airflow", "/usr/local/sbin/airflow-secrets")
        text = text.replace('Path("/srv/', f'Path("{folder}/srv/').replace(
            "/usr/local/lib/hangar", str(library)
        )
        self.runtime = folder / "run/user/2001"
        self.handed_over = folder / "handed-over"
        self.become = folder / "as-service"
        self.become.write_text(f'#!/bin/sh\necho "$@" >> {self.handed_over}\nexit ${{FAILS:-0}}\n')
        self.become.chmod(0o755)
        self.hand_over = described.with_name("hand-over")
        text = text.replace('Path("/run/user/2001', f'Path("{self.runtime}').replace(
            "/usr/local/sbin/as-service", str(self.become)
        )
        group = grp.getgrgid(0).gr_name
        self.program = folder / "airflow-secrets"
        self.program.write_text(text.replace('GROUP = "airflow"', f'GROUP = "{group}"'))

    def describe_variables(self, given: dict[str, object]) -> None:
        self.described.with_name("variables.json").write_text(json.dumps(given))

    def call(self, *arguments: str, status: int = 0, given: bytes = b"") -> str:
        argv = [sys.executable, "-IB", str(self.program), *arguments]
        done = subprocess.run(argv, input=given, capture_output=True, check=False, timeout=30)
        assert done.returncode == status, done.stderr
        return (done.stdout + done.stderr).decode()

    def read(self, name: str) -> str:
        return (self.secrets / name).read_text()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.call("ensure")
    return machine


def test_secrets_are_made_once(machine: Machine) -> None:
    before = {path: path.read_text() for path in machine.secrets.iterdir()}
    assert machine.call("look") == machine.call("ensure") == ""
    assert {path: path.read_text() for path in machine.secrets.iterdir()} == before


@pytest.mark.parametrize("name", ["fernet_key", "jwt_secret", "postgres_password", "admin_password"])
def test_an_empty_file_and_a_link_are_no_key(machine: Machine, name: str, tmp_path: Path) -> None:
    """Airflow would sign with it, or encrypt nothing"""
    place, elsewhere = machine.secrets / name, tmp_path / "elsewhere"
    elsewhere.write_text("chosen by somebody else")
    for spoil in (place.touch, lambda: place.symlink_to(elsewhere)):
        place.unlink()
        spoil()
        assert str(place) in machine.call("look")
        machine.call("ensure")
        assert not place.is_symlink()
        assert len(machine.read(name)) >= 32
        assert machine.call("look") == ""


def test_a_renewed_secret_is_another_and_what_follows_from_it_follows(machine: Machine) -> None:
    others = {name: machine.read(name) for name in ("admin_password", "jwt_secret", "fernet_key")}
    before = machine.read("postgres_password")
    said = machine.call("renew", "postgres_password")
    assert machine.read("postgres_password") not in ("", before)
    assert machine.read("postgres_password") in machine.read("sql_alchemy_conn")
    assert {name: machine.read(name) for name in others} == others
    assert (said, machine.call("look")) == ("", "")


def test_a_renewed_fernet_key_keeps_its_predecessor_until_that_is_retired(machine: Machine) -> None:
    before = machine.read("fernet_key")
    machine.call("renew", "fernet_key")
    new, old = machine.read("fernet_key").split(",")
    assert (old, len(base64.urlsafe_b64decode(new))) == (before, 32)
    assert new != old
    machine.call("renew", "fernet_key")  # cut short and begun again: no third key
    assert machine.read("fernet_key") == f"{new},{old}"
    machine.call("retire", "fernet_key")
    assert machine.read("fernet_key") == new
    machine.call("retire", "fernet_key")
    assert machine.read("fernet_key") == new


@pytest.mark.parametrize("arguments", [("ensure",), ("renew", "jwt_secret")])
def test_what_is_new_is_handed_to_the_containers(machine: Machine, arguments: tuple[str, ...]) -> None:
    machine.hand_over.touch()
    machine.call(*arguments)
    assert not machine.handed_over.exists(), "the user manager does not run: there is no folder in memory"
    machine.runtime.mkdir(parents=True)
    machine.call("look")
    assert not machine.handed_over.exists()
    machine.call(*arguments)
    assert machine.handed_over.read_text() == f"{grp.getgrgid(0).gr_name} {machine.hand_over}\n"


def test_containers_that_could_not_be_given_what_is_new_are_told_of(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.hand_over.touch()
    machine.runtime.mkdir(parents=True)
    monkeypatch.setenv("FAILS", "3")
    assert machine.call("ensure", status=1) == (
        "The containers have not got what is new; start them again: ./provision.py up\n"
    )


@pytest.mark.parametrize(("arguments", "said"), [
    (("renew", "erp"), "'erp' is not generated here; there are admin_password, api_secret_key, fernet_key, "),
    (("retire", "jwt_secret"), "only fernet_key keeps a predecessor"),
])  # fmt: skip
def test_other_secrets_are_left_alone(machine: Machine, arguments: tuple[str, str], said: str) -> None:
    before = {path: path.read_text() for path in machine.secrets.iterdir()}
    assert machine.call(*arguments, status=1).startswith(said)
    assert {path: path.read_text() for path in machine.secrets.iterdir()} == before


def test_a_connection_follows_its_secret(machine: Machine) -> None:
    (machine.secrets / "erp").write_text("hunter3")
    assert str(machine.connections) in machine.call("look")
    machine.call("ensure")
    assert json.loads(machine.connections.read_text())["erp"]["password"] == "hunter3"


def test_a_variable_is_a_text_and_what_is_none_is_json_with_its_secrets_in_it(machine: Machine) -> None:
    assert json.loads(machine.variables.read_text()) == {}
    machine.describe_variables(
        {"region": "eu", "limits": {"rows": 5, "keys": [{"secret": "erp"}]}, "on": True}
    )
    assert str(machine.variables) in machine.call("look")
    machine.call("ensure")
    kept = json.loads(machine.variables.read_text())
    assert kept == {"region": "eu", "limits": '{"rows": 5, "keys": ["hunter2"]}', "on": "true"}
    assert machine.variables.stat().st_mode & 0o777 == 0o440
    (machine.secrets / "erp").write_text("hunter3")
    assert str(machine.variables) in machine.call("look")
    machine.call("ensure")
    assert "hunter3" in machine.variables.read_text()


def test_a_variable_whose_secret_is_not_there_is_named(machine: Machine) -> None:
    (machine.secrets / "erp").rename(machine.secrets / "other")
    machine.described.write_text("{}")
    machine.describe_variables({"limits": {"keys": [{"secret": "erp"}]}})
    assert machine.call("ensure", status=1) == (
        "airflow_variables.limits.keys.0 names the secret 'erp', which is not on the machine. "
        "Put it there with: sudo airflow-secrets set erp\n"
    )


@pytest.mark.parametrize(("name", "cure"), [
    ("gone", "Put it there with: sudo airflow-secrets set gone"),
    ("/run/hangar-secrets/gone", "See why it was not read from Secret Manager: sudo google-secrets fetch"),
    ("/srv/warehouse/secrets/gone", "./provision.py up makes it"),
])  # fmt: skip
def test_a_secret_that_is_not_there_is_named_with_its_cure(machine: Machine, name: str, cure: str) -> None:
    before = machine.variables.read_text()
    machine.describe_variables({"token": {"secret": name}})
    said = f"airflow_variables.token names the secret {name!r}, which is not on the machine. {cure}\n"
    assert machine.call("ensure", status=1) == machine.call("look", status=1) == said
    assert machine.variables.read_text() == before


@pytest.mark.parametrize("given", [b"hunter3", b"hunter3\n", b"hunter3\r\n", b"\xef\xbb\xbfhunter3\r\n"])
def test_what_a_person_pipes_in_is_kept_as_it_was_meant(machine: Machine, given: bytes) -> None:
    assert machine.call("set", "erp", given=given) == ""
    assert machine.read("erp") == "hunter3"


@pytest.mark.parametrize(("given", "said"), [
    (b"\n", "nothing came on standard input\n"),
    ("hunter3".encode("utf-16"), "what came on standard input is no text in UTF-8; save it as UTF-8\n"),
    (b"caf\xe9", "what came on standard input is no text in UTF-8; save it as UTF-8\n"),
])  # fmt: skip
def test_what_is_no_text_replaces_no_secret(machine: Machine, given: bytes, said: str) -> None:
    assert machine.call("set", "erp", given=given, status=1) == said
    assert machine.read("erp") == "hunter2"
