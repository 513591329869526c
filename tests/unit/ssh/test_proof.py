"""The login proof against an SSH server in this process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import paramiko
import pytest

from hangar import paths
from hangar.cloud.base import Server
from hangar.errors import HangarError, MachineUnreachable, MissingTool
from hangar.ssh import client_config, keys, known_hosts, proof
from hangar.ssh.__main__ import main
from tests.unit.ssh.conftest import SERVER


class Doorman(paramiko.ServerInterface):
    """Lets in one key, for one account."""

    def __init__(self, key: str, status: int | None) -> None:
        self.key, self.status = key, status

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        right = username == "hangar" and key.get_base64() == self.key
        return paramiko.AUTH_SUCCESSFUL if right else paramiko.AUTH_FAILED

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        if self.status is None:
            return True

        def answer() -> None:
            channel.sendall_stderr(b"sudo: no" if self.status else b"")
            channel.send_exit_status(self.status)
            channel.close()

        threading.Timer(0.1, answer).start()
        return True


class Machine:
    """An SSH server on a port of this computer, as long as the test runs."""

    def __init__(self, admitted: str) -> None:
        self.host_key = paramiko.RSAKey.generate(2048)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.admitted = admitted
        self.status: int | None = 0
        """What every command ends with; None: it never does."""
        self.serving = threading.Thread(target=self.serve, daemon=True)
        self.serving.start()

    def close(self) -> None:
        """Closing alone does not wake the thread, which would answer for whoever takes the port next."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.serving.join()
        self.listener.close()

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            transport = paramiko.Transport(connection)
            transport.add_server_key(self.host_key)
            try:
                transport.start_server(server=Doorman(self.admitted, self.status))
            except (EOFError, OSError, paramiko.SSHException):  # the client refused us, as it should
                continue


@pytest.fixture
def machine(server: Server) -> Iterator[Machine]:
    """The environment `local` as `up` leaves it: key, pinned host key, ssh_config."""
    private = paths.default_private_key("local")
    public = keys.ensure_key(private, "x").split()[1]
    machine = Machine(public)
    pinned = f"{machine.host_key.get_name()} {machine.host_key.get_base64()}"
    here = replace(server, port=machine.port, host_keys=(pinned,))
    known_hosts.pin(here, paths.known_hosts("local"))
    client_config.write(here, private)
    yield machine
    machine.close()


def test_a_login_that_works_is_proven(machine: Machine) -> None:
    proof.prove(proof.Target.of("local"))
    assert main(["prove", "--env", "local"]) == 0


def test_a_refused_key_is_no_proof(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    machine.admitted = "another"
    assert main(["prove", "--env", "local"]) == 1
    assert "A new login as hangar at 127.0.0.1" in capsys.readouterr().err


def test_a_key_that_lies_elsewhere_on_this_computer_is_no_proof(machine: Machine, home: Path) -> None:
    """The operator would be locked out wherever that one is not."""
    theirs = home / ".ssh" / "id_ed25519"
    machine.admitted = keys.ensure_key(theirs, "x").split()[1]
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"))
    assert "AuthenticationException" in caught.value.details
    client_config.write(replace(SERVER, port=machine.port), theirs)
    proof.prove(proof.Target.of("local"))


def test_another_host_key_is_refused(machine: Machine) -> None:
    machine.host_key = paramiko.RSAKey.generate(2048)
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"))
    assert "BadHostKeyException" in caught.value.details


def test_an_unpinned_machine_is_refused(machine: Machine) -> None:
    paths.known_hosts("local").write_text("")
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"))
    assert "not found in known_hosts" in caught.value.details


def test_a_login_that_does_not_lead_to_root_is_no_proof(machine: Machine) -> None:
    machine.status = 1
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"))
    assert caught.value.brief == "hangar can log in, but `sudo -n true` fails."
    assert caught.value.details == "sudo: no"


def test_a_way_to_root_that_hangs_is_given_up_in_time(machine: Machine) -> None:
    """sudo under a PAM stack that waits, say: the run goes on, and the machine takes the change back."""
    machine.status = None
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"), timeout=1)
    assert caught.value.details == "TimeoutError: `sudo -n true` has not ended after 1 s"


def test_a_closed_port_is_no_proof(machine: Machine) -> None:
    target = replace(proof.Target.of("local"), port=1)
    with pytest.raises(MachineUnreachable):
        proof.prove(target)


def test_a_silent_port_is_given_up_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = proof.Target("127.0.0.1", silent.getsockname()[1], "hangar", Path("k"), Path("h"))
        key = keys.ensure_key(paths.REPO / "k", "x")
        assert key
        (paths.REPO / "h").write_text("")
        target = replace(target, private_key=paths.REPO / "k", known_hosts=paths.REPO / "h")
        with pytest.raises(MachineUnreachable):
            proof.prove(target, timeout=0.3)


def test_a_key_with_a_passphrase_comes_from_the_agent(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = paths.default_private_key("local")
    plain = paramiko.PKey.from_path(private)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "secret", "-f", str(private)], check=True)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with pytest.raises(HangarError) as caught:
        proof.prove(proof.Target.of("local"))
    assert caught.value.resolution == f"Give it to the agent: ssh-add {private}"
    monkeypatch.setattr(paramiko.Agent, "get_keys", lambda agent: (paramiko.RSAKey.generate(2048), plain))
    proof.prove(proof.Target.of("local"))


def test_an_environment_without_a_machine_says_how_to_get_on() -> None:
    with pytest.raises(HangarError) as caught:
        proof.Target.of("local")
    assert caught.value.resolution == "Write it: ./provision.py plan local"


LEAD = """
import os, socket, sys, threading
way = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
open(sys.argv[2], "w").write(str(os.getpid()))
def up():
    while content := os.read(0, 65536):
        way.sendall(content)
    os._exit(0)
threading.Thread(target=up, daemon=True).start()
while content := way.recv(65536):
    os.write(1, content)
"""


def lead_through(server: Server, machine: Machine, *argv: str) -> None:
    """The environment's way to the machine is a program; its address leads nowhere."""
    pinned = f"{machine.host_key.get_name()} {machine.host_key.get_base64()}"
    here = replace(server, address="vm.invalid", port=22, host_keys=(pinned,), proxy_command=argv)
    known_hosts.pin(here, paths.known_hosts("local"))
    client_config.write(here, paths.default_private_key("local"))


def test_the_login_goes_through_the_proxy_command(machine: Machine, server: Server, tmp_path: Path) -> None:
    script, pid = tmp_path / "100% the way.py", tmp_path / "pid"
    script.write_text(LEAD)
    lead_through(server, machine, sys.executable, str(script), str(machine.port), str(pid))
    proof.prove(proof.Target.of("local"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_program_that_clings_on_is_ended(machine: Machine, server: Server, tmp_path: Path) -> None:
    script, pid = tmp_path / "way.py", tmp_path / "pid"
    script.write_text(
        "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        + LEAD.replace("os._exit(0)", "signal.pause()")
    )
    lead_through(server, machine, sys.executable, str(script), str(machine.port), str(pid))
    proof.prove(proof.Target.of("local"))
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_a_changed_host_key_is_refused_through_the_proxy_command_too(
    machine: Machine, server: Server, tmp_path: Path
) -> None:
    script = tmp_path / "way.py"
    script.write_text(LEAD)
    lead_through(server, machine, sys.executable, str(script), str(machine.port), str(tmp_path / "pid"))
    another = paramiko.RSAKey.generate(2048)
    paths.known_hosts("local").write_text(f"hangar-local {another.get_name()} {another.get_base64()}\n")
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"))
    assert "BadHostKeyException" in caught.value.details


def test_what_the_proxy_command_says_is_shown(machine: Machine, server: Server) -> None:
    lead_through(server, machine, "sh", "-c", "echo 'You may not.' >&2")
    with pytest.raises(MachineUnreachable) as caught:
        proof.prove(proof.Target.of("local"))
    assert caught.value.brief == "A new login as hangar at vm.invalid port 22 fails."
    assert caught.value.details.splitlines()[-2:] == [
        "* Command: sh -c 'echo '\"'\"'You may not.'\"'\"' >&2'",
        "You may not.",
    ]


def test_a_proxy_command_that_is_missing_is_named(machine: Machine, server: Server) -> None:
    lead_through(server, machine, "/nowhere/gcloud", "compute")
    with pytest.raises(MissingTool, match="/nowhere/gcloud is not installed"):
        proof.prove(proof.Target.of("local"))
