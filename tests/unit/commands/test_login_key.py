"""A key that `--set access.private_key=…` names for one call, as .github/workflows/deploy.yml does: a real server of
OpenSSH admits that key alone, not the one that this checkout has.
"""

from __future__ import annotations

import getpass
import json
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hangar import cli, paths, process
from hangar.cloud.base import Server
from hangar.ssh import client_config, keys
from tests.sshd import SSHD, Host
from tests.unit.airbyte.conftest import DECLARED, MachineHere
from tests.unit.airbyte.fake_airbyte import FakeAirbyte
from tests.unit.fakes import SERVER

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")

RELEASE = {
    "id": "00001-abcdef01",
    "time": 1.0,
    "by": "ci",
    "revision": "r",
    "dags": {"elt": "e.py"},
    "left": False,
}
MACHINE = """\
#!{python}
import os, sys
asked = os.environ.get("SSH_ORIGINAL_COMMAND", "")
if asked.startswith("sudo -n airflow-release deploy "):
    sys.stdin.read()
    print({release!r})
elif asked.startswith("sudo -n python3 "):
    os.execv({agent[0]!r}, {agent!r})
else:
    sys.exit(f"not played here: {{asked}}")
"""
"""What the machine runs whatever is asked: this computer's own sudo is not what is tried."""


@dataclass
class Place:
    host: Host
    airbyte: FakeAirbyte
    key: Path

    @property
    def override(self) -> list[str]:
        return ["--set", f"access.private_key={self.key}"]


@pytest.fixture
def place(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A machine that knows the deployment's key, a checkout that has another one, and what there is to deploy."""
    airbyte, folder = FakeAirbyte(), tmp_path / "there"
    folder.mkdir()
    there = MachineHere(folder, airbyte)
    program = folder / "machine"
    program.write_text(MACHINE.format(python=sys.executable, release=json.dumps(RELEASE), agent=there.argv))
    program.chmod(0o755)
    paths.ensure_state_dir("local")
    keys.ensure_key(paths.default_private_key("local"), "this checkout's own")
    key = tmp_path / "runner" / "log in"
    key.parent.mkdir()
    host = Host(tmp_path / "sshd", keys.ensure_key(key, "deployment"))
    host.start(f"ForceCommand {shlex.quote(str(program))}")
    server = replace(
        SERVER, port=host.port, admin=getpass.getuser(), host_keys=(" ".join(host.key.split()[:2]),)
    )
    known = SimpleNamespace(server=lambda: server)
    monkeypatch.setattr("hangar.commands._machine.cloud_for", lambda settings: known)
    (repo / "pipelines/dags").mkdir(parents=True)
    (repo / "pipelines/dags/elt.py").write_text("ELT = 1\n")
    (repo / "pipelines/airbyte.yml").write_text(DECLARED)
    yield Place(host, airbyte, key)
    host.stop()
    airbyte.stop()


def opens_with() -> str:
    return str(client_config.unquote(client_config.read(paths.ssh_config("local"))["IdentityFile"]))


def test_dags_are_deployed_with_the_key_that_is_named(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["dags", "deploy", "--yes", *place.override]) == 0, place.host.said()
    assert "Released 00001-abcdef01 to local: elt\n" in capsys.readouterr().out
    assert place.host.logins() == 1
    assert opens_with() == str(place.key)


def test_pipelines_are_applied_with_the_key_that_is_named(place: Place) -> None:
    assert cli.main(["pipelines", "plan", "--exit-code", *place.override]) == 4, place.host.said()
    assert place.airbyte.names("connections") == []
    assert cli.main(["pipelines", "apply", "--yes", *place.override]) == 0
    assert place.airbyte.names("connections") == ["people_to_warehouse"]
    assert place.host.logins() == 2
    assert opens_with() == str(place.key)


def test_ansible_would_log_in_with_it_too(place: Place) -> None:
    assert cli.main(["dags", "deploy", "--yes", *place.override]) == 0
    (host,) = yaml.safe_load(paths.hosts_file("local").read_text())["all"]["hosts"].values()
    assert host["ansible_ssh_private_key_file"] == str(place.key)


@pytest.mark.parametrize("words", [["dags", "deploy"], ["pipelines", "apply"]], ids=" ".join)
def test_the_next_call_without_it_has_the_checkouts_own_key_and_is_refused_here(
    place: Place, words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--yes", *place.override]) == 0
    before, held = place.host.logins(), place.airbyte.names("connections")
    capsys.readouterr()
    assert cli.main([*words, "--yes"]) == 1
    said = capsys.readouterr().err
    assert "error: hangar-local cannot be spoken to." in said
    assert "Permission denied (publickey)" in said
    assert opens_with() == str(paths.default_private_key("local"))
    assert (place.host.logins(), place.airbyte.names("connections")) == (before, held)


@pytest.mark.parametrize("words", [["dags", "deploy"], ["pipelines", "apply"]], ids=" ".join)
def test_an_agents_keys_do_not_stand_in_for_it(
    place: Place, words: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key that opens the machine is in the agent; the one that is named does not open it."""
    started = process.run(["ssh-agent", "-s", "-a", str(tmp_path / "agent")]).stdout
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    try:
        process.run(["ssh-add", "-q", str(place.key)])
        other = tmp_path / "other"
        keys.ensure_key(other, "another")
        assert cli.main([*words, "--yes", "--set", f"access.private_key={other}"]) == 1
        assert place.host.logins() == 0
    finally:
        os.kill(int(started.split("SSH_AGENT_PID=")[1].split(";")[0]), 15)


@pytest.mark.parametrize("words", [["dags", "deploy"], ["pipelines", "apply"]], ids=" ".join)
def test_a_key_that_is_not_there_is_refused_before_anything_is_asked(
    place: Place, words: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*words, "--yes", "--set", "access.private_key=/nowhere/login"]) == 2
    assert "access.private_key" in capsys.readouterr().err
    assert place.host.said().count("Connection from") == place.host.logins() == 0


def test_ssh_logs_in_with_it_where_the_machine_is_known_by_another(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is known here is enough for a login, but not for one by another key."""
    server: Server = SERVER
    client_config.write(server, paths.default_private_key("local"))
    called: list[Sequence[str]] = []
    monkeypatch.setattr(process, "interactive", lambda argv: called.append(argv) or 0)
    assert cli.main(["ssh", "local", "uptime", *place.override]) == 0
    assert called == [["ssh", "-F", str(paths.ssh_config("local")), "hangar-local", "uptime"]]
    assert opens_with() == str(place.key)
