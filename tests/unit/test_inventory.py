"""hosts.yml: how Ansible gets in, and that every variable in it is one that a role knows."""

from __future__ import annotations

import dataclasses
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar import inventory, paths
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.config.people import today
from hangar.ssh import keys, proxy

ROLES = Path(__file__).resolve().parents[2] / "roles"
SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="id-1", address="127.0.0.1", port=22022,
    admin="hangar", host_keys=(), ssh_sources=("172.30.0.1/32",), limits=("vm",),
)  # fmt: skip

Make = Callable[..., Config]


@pytest.fixture(autouse=True)
def _no_added_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hangar.trust.ADDED", ())


def written(config: Config) -> dict[str, object]:
    """The host's variables as Ansible reads them."""
    from ansible.parsing.dataloader import DataLoader

    paths.ensure_state_dir("local")
    keys.ensure_key(paths.default_private_key("local"), "hangar-local")
    path = inventory.write_hosts(SERVER, config)
    host: dict[str, object] = DataLoader().load_from_file(str(path))["all"]["hosts"]["hangar-local"]
    return host


def test_every_variable_belongs_to_a_role(make_config: Make) -> None:
    known = set()
    for spec in ROLES.glob("*/meta/argument_specs.yml"):
        for entry in yaml.safe_load(spec.read_text())["argument_specs"].values():
            known |= set(entry.get("options") or ())
    ours = {name for name in written(make_config()) if not name.startswith("ansible_")}
    assert ours <= known, f"no role knows {sorted(ours - known)}"


def test_ansible_connects_to_the_pinned_machine_with_one_key(make_config: Make, repo: Path) -> None:
    host = written(make_config())
    state = repo / ".hangar" / "local"
    assert (host["ansible_host"], host["ansible_port"], host["ansible_user"]) == (
        "127.0.0.1",
        22022,
        "hangar",
    )
    assert host["ansible_ssh_private_key_file"] == str(state / "id_ed25519")
    assert host["ansible_ssh_common_args"] == (
        f"-o UserKnownHostsFile={state}/known_hosts -o GlobalKnownHostsFile=/dev/null "
        "-o StrictHostKeyChecking=yes -o HostKeyAlias=hangar-local "
        "-o ForwardAgent=no -o ForwardX11=no -o ClearAllForwardings=yes -o UpdateHostKeys=no"
    )


def test_what_somebody_hands_to_every_host_ansible_keeps_from_the_machine(
    make_config: Make, tmp_path: Path
) -> None:
    """ssh's own word on it: root of a machine that was taken would use the agent's keys as long as a run takes."""
    mine = tmp_path / "config"
    mine.write_text(
        "Host *\n  ForwardAgent yes\n  ForwardX11 yes\n  UpdateHostKeys yes\n"
        "  RemoteForward /run/theirs.sock /run/user/1/gnupg/S.gpg-agent\n  Compression yes\n"
    )
    options = shlex.split(str(written(make_config())["ansible_ssh_common_args"]))

    def settings(*words: str) -> set[str]:
        argv = ["ssh", "-G", "-F", str(mine), *words, "127.0.0.1"]
        return set(subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines())

    handed = {"forwardagent yes", "forwardx11 yes", "updatehostkeys true"}
    assert handed <= settings()
    assert any(line.startswith("remoteforward ") for line in settings())
    assert not handed & settings(*options)
    assert not any(line.startswith("remoteforward ") for line in settings(*options))
    assert "compression yes" in settings(*options), "what is between them and their ssh stays theirs"


def test_a_change_has_longer_to_be_proven_where_a_login_takes_longer(tmp_path: Path) -> None:
    """Within a minute, beside Airflow, an emulated processor did not come to the end of one that was right."""
    slow = inventory.connection(dataclasses.replace(SERVER, emulated=True), tmp_path)
    assert slow["interlock_after"] == 300
    assert "interlock_after" not in inventory.connection(SERVER, tmp_path), "the role's own minute"


def test_containers_are_looked_at_rarely_where_a_look_is_dear(tmp_path: Path) -> None:
    """After a restart of an emulated machine, looks every three seconds kept the containers from starting."""
    slow = inventory.connection(dataclasses.replace(SERVER, emulated=True), tmp_path)
    looks = {name: value for name, value in slow.items() if "_health_" in name}
    assert looks == {
        "airflow_health_start_interval": 120, "airflow_health_interval": 120,
        "airbyte_health_start_interval": 120, "airbyte_health_interval": 120,
    }  # fmt: skip
    assert [name for name in inventory.connection(SERVER, tmp_path) if "_health_" in name] == []


def test_no_environment_switches_the_pinned_host_keys_off(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where somebody calls Ansible by hand, with ANSIBLE_HOST_KEY_CHECKING=False from a profile of theirs."""
    written(make_config())
    (tmp_path / "bin").mkdir()
    ssh = tmp_path / "bin/ssh"
    ssh.write_text(f"#!/bin/sh\nprintf '%s\\n' \"$@\" >> {tmp_path}/said\nexit 255\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")
    monkeypatch.setenv("ANSIBLE_HOST_KEY_CHECKING", "False")
    hosts = str(paths.hosts_file("local"))
    subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", "all", "-i", hosts, "-m", "ansible.builtin.raw", "-a", "true"],
        capture_output=True, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    said = (tmp_path / "said").read_text().splitlines()
    assert {word for word in said if word.startswith("StrictHostKeyChecking")} == {
        "StrictHostKeyChecking=yes"
    }


def test_no_connection_is_shared_with_another_machine_of_the_same_name(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ansible keeps connections open; over one that is open no host key is looked at."""
    here = inventory.control_path(SERVER)
    assert here == inventory.control_path(SERVER) == written(make_config())["ansible_control_path"]
    rebuilt = inventory.control_path(replace(SERVER, id="id-2"))
    monkeypatch.setattr(paths, "REPO", tmp_path / "another clone")
    assert len({here, rebuilt, inventory.control_path(SERVER)}) == 3


def test_a_checkout_in_a_folder_with_a_blank_in_its_name_works(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_config()
    monkeypatch.setattr(paths, "REPO", tmp_path / "my data")
    arguments = shlex.split(str(written(config)["ansible_ssh_common_args"]))
    # ssh takes a list of files here, so the name has quotes of its own.
    assert f'UserKnownHostsFile="{tmp_path}/my data/.hangar/local/known_hosts"' in arguments


def test_the_file_is_its_owners_only_and_says_where_it_comes_from(make_config: Make) -> None:
    written(make_config())
    path = paths.hosts_file("local")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().startswith("# Generated from platform.yml by ./provision.py; changes are lost.\n")


def test_the_administrators_key_and_the_gateway_are_handed_on(make_config: Make) -> None:
    host = written(make_config("access.ssh_sources=[10.1.0.0/16]"))
    public = paths.default_private_key("local").with_suffix(".pub").read_text().strip()
    assert host["ssh_server_authorized_keys"] == {"hangar": [public]}
    assert host["firewall_ssh_sources"] == ["172.30.0.1/32", "10.1.0.0/16"]
    assert host["ssh_server_penalty_exempt"] == ["172.30.0.1/32"]


def test_the_service_users_keep_their_order_and_numbers(make_config: Make) -> None:
    assert written(make_config("users.airbyte={uid: 3000, subids: 500000}"))["service_users_accounts"] == [
        {"name": "airflow", "uid": 2001, "subids": 200000},
        {"name": "airbyte", "uid": 3000, "subids": 500000},
    ]


def test_braces_of_a_user_are_not_run_as_jinja(make_config: Make) -> None:
    written(make_config("airflow.environment={A: '{{ 6 * 7 }}'}"))
    assert "A: !unsafe '{{ 6 * 7 }}'" in paths.hosts_file("local").read_text()


@pytest.mark.parametrize(
    "text",
    [
        "{{ lookup('pipe', 'touch RAN') }}",
        "{% set x = lookup('pipe', 'touch RAN') %}",
        "#jinja2: variable_start_string: '[[', variable_end_string: ']]'\n[[ lookup('pipe', 'touch RAN') ]]",
        "#jinja2:block_start_string: '<<', block_end_string: '>>'\n<< set x = lookup('pipe', 'touch RAN') >>",
    ],
    ids=["braces", "statement", "marks of its own", "statement in its own"],
)
def test_a_text_of_a_strangers_platform_yml_runs_nothing_here(
    make_config: Make, tmp_path: Path, text: str
) -> None:
    """Ansible's own word on it, with what it would make of a variable: the text as it was written."""
    text = text.replace("RAN", str(tmp_path / "ran"))
    paths.platform_file("local").write_text(
        json.dumps({"airflow": {"variables": {"a": text, "b": {"c": [text]}}}})
    )
    written(make_config())
    assert _as_ansible_has_it()["airflow_variables"] == {"a": text, "b": {"c": [text]}}
    assert not (tmp_path / "ran").exists()


def _as_ansible_has_it() -> Any:
    """Of the inventory that was written; in a process of its own, since Ansible is set up once in each."""
    program = (
        "import json, sys; from pathlib import Path; from hangar import contracts\n"
        "found = contracts.effective_options(Path(sys.argv[1]))\n"
        "print(json.dumps({'airflow_variables': found['airflow_variables']}))"
    )
    argv = [sys.executable, "-c", program, str(paths.hosts_file("local"))]
    root = str(Path(inventory.__file__).parents[2])
    done = subprocess.run(
        argv, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": root}, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_connection_is_a_uri_or_its_parts_and_its_password_a_name(make_config: Make) -> None:
    host = written(
        make_config(
            "airflow.connections={a: 'http://u@h', b: {conn_type: postgres, schema: d, password: {secret: P}}}"
        )
    )
    assert host["airflow_connections"] == {
        "a": "http://u@h",
        "b": {"conn_type": "postgres", "schema": "d", "password": {"secret": "P"}},
    }


def test_airflows_variables_reach_the_machine_as_they_were_written(make_config: Make) -> None:
    host = written(
        make_config("airflow.variables={region: 'eu {{ 1 }}', limits: {rows: 5, token: {secret: T}}}")
    )
    assert host["airflow_variables"] == {
        "region": "eu {{ 1 }}",
        "limits": {"rows": 5, "token": {"secret": "T"}},
    }


def test_the_same_settings_give_the_same_file(make_config: Make) -> None:
    written(make_config())
    before = paths.hosts_file("local").stat()
    written(make_config())
    after = paths.hosts_file("local").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns), (
        "it was not written again"
    )


def test_figures_go_to_google_where_that_is_said_and_the_machine_tells_the_others(make_config: Make) -> None:
    there = ("cloud=gcp", "gcp.project=acme-data-1", "gcp.zone=europe-west6-a")
    duty = "monitoring.alerts.duty={kind: google, to: data@example.org}"
    team = "monitoring.alerts.team={kind: slack, secret: SLACK}"
    found = written(make_config(*there, "monitoring.backend=google", duty, team))
    assert (found["ops_agent_reachable"], found["ops_agent_wanted"]) == (True, True)
    assert found["monitoring_receivers"] == {
        "team": {"kind": "slack", "secret": "SLACK", "levels": ["critical", "warning"]}
    }
    assert written(make_config(*there))["ops_agent_wanted"] is False
    assert "ops_agent_reachable" not in written(make_config())


def test_the_proof_runs_from_any_folder() -> None:
    argv = inventory.login_proof("local")
    assert argv[0] == "env"
    assert argv[1] == f"PYTHONPATH={paths.REPO}"
    assert argv[-5:] == ["-m", "hangar.ssh", "prove", "--env", "local"]


def test_ansible_goes_through_the_proxy_command(make_config: Make) -> None:
    argv = ("/100% mine/python", "/a folder/relay", "--instance", "it's", "{{ braces }}")
    host = inventory.connection(replace(SERVER, proxy_command=argv), Path("/keys/50%/id"))
    options = shlex.split(host["ansible_ssh_common_args"])
    (line,) = [
        option.removeprefix("ProxyCommand=") for option in options if option.startswith("ProxyCommand=")
    ]
    assert proxy.words(line) == argv
    assert line == proxy.text(argv), "the same that ssh is told"
    assert host["ansible_ssh_private_key_file"] == "/keys/50%%/id"


def test_ansible_reads_the_proxy_command_as_it_was_written(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ("/100% mine/python", "a b", "{{ 7 * 7 }}")
    monkeypatch.setattr("tests.unit.test_inventory.SERVER", replace(SERVER, proxy_command=argv))
    assert proxy.text(argv) in shlex.split(str(written(make_config())["ansible_ssh_common_args"]))[-1]


ADMIN = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
GUEST = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGM8zvTmJmlfKmp6jsQpimZRaqLZSLBJDNoYSdhIXK1+"


def test_people_are_handed_on_whole(make_config: Make) -> None:
    host = written(
        make_config(f"people=[{{name: ana, role: viewer, keys: ['{GUEST} ana'], expires: 2999-12-31}}]")
    )
    assert host["people_accounts"] == [
        {"name": "ana", "role": "viewer", "keys": [f"{GUEST} ana"], "expires": "2999-12-31", "email": "",
         "airflow": "Viewer"}
    ]  # fmt: skip
    assert host["people_other_accounts"] == ["hangar"]
    assert host["people_services"] == ["airflow", "airbyte", "warehouse"]


def test_every_admin_may_be_the_operator_and_nobody_else(make_config: Make) -> None:
    people = [
        f"{{name: ada, role: admin, keys: ['{ADMIN} ada'], expires: 2999-12-31}}",
        f"{{name: ana, role: developer, keys: ['{GUEST}']}}",
    ]
    own = written(make_config())["ssh_server_authorized_keys"]["hangar"]  # type: ignore[index]
    host = written(make_config(f"people=[{', '.join(people)}]"))
    assert host["ssh_server_authorized_keys"] == {"hangar": [*own, f'expiry-time="29991231Z" {ADMIN} ada']}


def test_every_operators_computer_writes_the_same_keys(make_config: Make, tmp_path: Path) -> None:
    """Or each one's `up` would undo the other's"""
    mine = {name: keys.ensure_key(tmp_path / name, name) for name in ("ada", "bea")}
    people = ", ".join(
        f"{{name: {name}, role: admin, keys: ['{key}'], expires: 2999-12-31}}" for name, key in mine.items()
    )
    found = [
        yaml.safe_load(inventory.render(SERVER, make_config(f"people=[{people}]"), tmp_path / name))["all"][
            "hosts"
        ]["hangar-local"]["ssh_server_authorized_keys"]
        for name in mine
    ]
    assert found == [{"hangar": [f'expiry-time="29991231Z" {key}' for key in mine.values()]}] * 2


def test_an_operator_whose_day_has_come_lets_themselves_in_no_more(make_config: Make, tmp_path: Path) -> None:
    """Unless nobody else were left to mend the machine"""
    ada, bea = (keys.ensure_key(tmp_path / name, name) for name in ("ada", "bea"))
    out = f"{{name: ada, role: admin, keys: ['{ada}'], expires: {today()}}}"
    stays = f"{{name: bea, role: admin, keys: ['{bea}']}}"

    def admitted(*people: str) -> list[str]:
        config = make_config(f"people=[{', '.join(people)}]")
        host = yaml.safe_load(inventory.render(SERVER, config, tmp_path / "ada"))["all"]["hosts"]
        return list(host["hangar-local"]["ssh_server_authorized_keys"]["hangar"])

    assert admitted(out, stays) == [bea]
    assert admitted(out) == [ada]
    assert admitted(stays) == [ada, bea], "a key that nobody's entry names is the operator's own"


def test_an_operator_who_is_an_admin_stands_there_once(make_config: Make, tmp_path: Path) -> None:
    mine = keys.ensure_key(tmp_path / "id_ed25519", "me")
    config = make_config(
        f"access.private_key={tmp_path}/id_ed25519", f"people=[{{name: me, role: admin, keys: ['{mine}']}}]"
    )
    host = yaml.safe_load(inventory.render(SERVER, config, tmp_path / "id_ed25519"))
    found = host["all"]["hosts"]["hangar-local"]["ssh_server_authorized_keys"]
    assert found == {"hangar": [mine]}


def test_a_receiver_of_logs_gets_the_certificates_and_nothing_around_them(
    make_config: Make, repo: Path
) -> None:
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    (paths.env_dir("local") / "ca.pem").write_text(f"subject=our authority\n{pem}")
    receiver = "hardening.forward_logs_to=https://logs.example.org"
    host = written(make_config(receiver, "hardening.forward_authority=ca.pem"))
    assert host["hardening_audit_forward_to"] == "https://logs.example.org"
    assert host["hardening_audit_forward_authority"] == pem
    assert host["hardening_audit_forward_certificate"] == ""
