"""The way over a jump host, with two real servers of OpenSSH: the machine, and the host in between."""

from __future__ import annotations

import getpass
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hangar import paths, process
from hangar.checks import way
from hangar.cloud.base import Jump, Server
from hangar.cloud.existing import probe
from hangar.errors import HangarError
from hangar.ssh import alias, client_config, jump, keys, known_hosts, proof, proxy, tunnel
from hangar.ssh.login import Login
from tests.sshd import SSHD, Host

ME = getpass.getuser()

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    """The machine, and the jump host."""
    mine = keys.ensure_key(paths.default_private_key("local"), "x")
    found = Host(tmp_path / "machine", mine), Host(tmp_path / "jump", mine)
    for host in found:
        host.start()
    yield found
    for host in found:
        host.stop()


def known(server: Server, hosts: tuple[Host, Host]) -> Server:
    """The machine, known here as after a look at it."""
    target, passed = hosts
    private = paths.default_private_key("local")
    over = Jump("127.0.0.1", passed.port, ME, (" ".join(passed.key.split()[:2]),))
    server = replace(
        server, port=target.port, admin=ME, host_keys=(" ".join(target.key.split()[:2]),), jump=over
    )
    server = replace(server, proxy_command=jump.command(server, over, over.user, private))
    known_hosts.pin(server, paths.known_hosts("local"))
    client_config.write(server, private)
    return server


def logged_in() -> process.Completed:
    config = paths.ssh_config("local")
    return process.run(
        ["ssh", "-F", str(config), "-o", "BatchMode=yes", "hangar-local", "echo in"], check=False
    )


def test_a_login_passes_the_jump_host(server: Server, hosts: tuple[Host, Host]) -> None:
    known(server, hosts)
    done = logged_in()
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
    assert [host.logins() for host in hosts] == [1, 1]


def test_the_proof_of_a_new_login_passes_it_too(
    server: Server, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proof, "COMMAND", "true")  # this computer's sudo is not what is tried
    known(server, hosts)
    proof.prove(proof.Target.of("local"))
    assert [host.logins() for host in hosts] == [1, 1]


def test_a_tunnel_leads_over_it(server: Server, hosts: tuple[Host, Host]) -> None:
    (forward,) = tunnel.ensure(known(server, hosts), {"ssh": hosts[0].port})
    try:
        with socket.create_connection(("127.0.0.1", forward.local), timeout=10) as channel:
            assert channel.recv(8) == b"SSH-2.0-"
    finally:
        tunnel.stop("local")


def test_somebody_of_the_team_passes_by_their_own_name_and_key(
    server: Server, hosts: tuple[Host, Host], tmp_path: Path
) -> None:
    mine = keys.ensure_key(tmp_path / "anna", "x")
    server = known(server, hosts)
    for host in hosts:
        (host.folder / "admitted").write_text(f"{mine}\n")
    assert logged_in().returncode == 255, "the operator's key opens nothing any more"
    config = client_config.write_login(server, Login(ME, str(tmp_path / "anna")))
    done = process.run(["ssh", "-F", str(config), "hangar-local", "echo in"], check=False)
    assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr


def test_a_host_that_a_person_names_stands_in_for_it(server: Server, hosts: tuple[Host, Host]) -> None:
    text = client_config.render(known(server, hosts), Path("/k"), Login("anna", "/k", "me@gate:2222"))
    assert "ProxyJump me@gate:2222" in text
    assert "ProxyCommand" not in text


def refused(server: Server) -> tuple[str, str]:
    """What is said of a look that does not get there."""
    done = logged_in()
    assert done.returncode == 255
    error = probe.refusal(server, Path("/k"), done.stderr)
    return error.brief.partition(", and ")[2], error.resolution


def test_another_host_key_of_the_jump_host_is_refused_and_nothing_sent(
    server: Server, hosts: tuple[Host, Host]
) -> None:
    target, passed = hosts
    server = known(server, (target, passed))
    passed.stop()
    stranger = Host(passed.folder.with_name("stranger"), (passed.folder / "admitted").read_text())
    stranger.port = passed.port
    stranger.start()
    what, cure = refused(server)
    assert what == "the jump host does not show the SSH host key that platform.yml names."
    assert "put that into existing.jump.host_key" in cure
    assert (stranger.logins(), target.logins()) == (0, 0)
    stranger.stop()


def test_the_jump_hosts_key_is_not_taken_for_the_machines(server: Server, hosts: tuple[Host, Host]) -> None:
    """Whoever holds the jump host cannot play the machine: the pinned keys are kept apart"""
    server = known(server, hosts)
    assert known_hosts.pinned(paths.known_hosts("local")) == server.host_keys
    target, passed = hosts
    target.stop()
    (target.folder / "host").write_bytes((passed.folder / "host").read_bytes())
    target.start()
    done = logged_in()
    assert done.returncode == 255
    assert "Host key verification failed" in done.stderr
    error = probe.refusal(server, Path("/k"), done.stderr)
    assert "does not show the SSH host key that platform.yml names; nothing was sent to it" in error.brief
    with pytest.raises(Exception, match="A new login as") as caught:
        proof.prove(proof.Target.of("local"))
    assert "BadHostKeyException" in str(getattr(caught.value, "details", ""))
    assert target.logins() == 0


@pytest.mark.parametrize(
    ("trouble", "what", "cure"),
    [
        ("admits nobody", "the jump host does not admit your account and key.", "existing.jump.user"),
        ("forwards nothing", "the jump host refuses to lead on.", "AllowTcpForwarding local"),
        ("the machine is off", "the jump host does not reach the machine.", "as seen from the jump host"),
        ("is off", "no answer comes back over it.", "existing.jump.port"),
    ],
)
def test_what_is_wrong_with_the_way_is_said(
    server: Server,
    hosts: tuple[Host, Host],
    monkeypatch: pytest.MonkeyPatch,
    trouble: str,
    what: str,
    cure: str,
) -> None:
    monkeypatch.setattr(way, "CONNECT", 30)  # a busy computer needs longer than a person would wait
    monkeypatch.setattr(way, "PATIENCE", 40.0)
    target, passed = hosts
    server = known(server, hosts)
    if trouble == "admits nobody":
        (passed.folder / "admitted").write_text("")
    elif trouble == "forwards nothing":
        passed.stop()
        passed.start("AllowTcpForwarding no")
    else:
        (target if trouble == "the machine is off" else passed).stop()
    said, resolution = refused(server)
    assert said == what
    assert cure in resolution
    settings = client_config.read(paths.ssh_config("local"))
    tried = way.log_in("local", paths.ssh_config("local"))
    (finding,) = way.connection("local", settings, way.reach("local", settings), tried)
    assert (finding.state, finding.detail) == ("missing", f"over {ME}@127.0.0.1: {what.removesuffix('.')}")


def test_doctor_walks_over_it(server: Server, hosts: tuple[Host, Host]) -> None:
    known(server, hosts)
    settings = client_config.read(paths.ssh_config("local"))
    steps = way.connection(
        "local", settings, way.reach("local", settings), way.log_in("local", paths.ssh_config("local"))
    )
    assert [(step.name, step.state) for step in steps] == [("Way", "ok"), ("Host key", "ok"), ("Login", "ok")]


def test_windows_own_ssh_passes_it_with_what_lies_in_its_folder(
    server: Server, hosts: tuple[Host, Host]
) -> None:
    server = known(server, hosts)
    text = alias.windows_text(server, (), Login("anna", "C:\\Users\\anna\\.ssh\\id"))
    (line,) = (line.strip() for line in text.splitlines() if "ProxyCommand" in line)
    words = line.split(" ")
    assert words[:2] == ["ProxyCommand", "ssh"]
    assert "UserKnownHostsFile=~/.ssh/hangar-local.known_hosts" in words
    assert (words[words.index("-l") + 1], words[words.index("-i") + 1]) == ("anna", "C:/Users/anna/.ssh/id")
    lines = known_hosts.render(server).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["hangar-local", "jump-of-hangar-local"]


def test_a_tunnel_that_holds_some_of_its_forwards_only_is_none(
    server: Server, hosts: tuple[Host, Host], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody took the port meanwhile: a password for the service behind it would be theirs."""
    server = known(server, hosts)
    monkeypatch.setattr(tunnel, "is_free", lambda port: True)
    with socket.create_server(("127.0.0.1", 0)) as theirs:
        taken = theirs.getsockname()[1]
        with pytest.raises(HangarError) as refused:
            tunnel.ensure(server, {"airflow": taken, "ssh": hosts[0].port + 1})
    assert refused.value.brief == "The forwards to hangar-local could not be opened."
    assert f"cannot listen to port: {taken}" in refused.value.details
    assert tunnel.current("local") == ()


def test_no_setting_of_the_users_own_opens_the_way_to_a_stranger(server: Server, home: Path) -> None:
    """ssh there asks nobody, knows one key of the jump host, and offers one of ours."""
    (home / "id").touch()
    words = jump.command(server, Jump("gate", 22, "me", ()), "me", home / "id")
    assert words[:3] == ("ssh", "-F", "none"), "not even the system's"
    said = process.run([words[0], "-G", *words[1:]]).stdout
    options = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
    wanted = {
        "batchmode": "yes", "identitiesonly": "yes", "identityfile": f"{home}/id", "stricthostkeychecking": "true",
        "globalknownhostsfile": "/dev/null", "userknownhostsfile": str(paths.known_hosts("local")),
        "hostkeyalias": "jump-of-hangar-local", "updatehostkeys": "false", "forwardagent": "no",
    }  # fmt: skip
    assert {name: options[name] for name in wanted} == wanted


def test_an_address_of_colons_stands_in_brackets(server: Server) -> None:
    over = Jump("2001:db8::8", 22, "me", ())
    words = jump.command(replace(server, address="2001:db8::7", port=22), over, "me", Path("/k 100%"))
    assert words[words.index("-W") + 1] == "[2001:db8::7]:22"
    assert words[-1] == "2001:db8::8"
    assert jump.leads(proxy.words(proxy.text(words, windows=False))) == "me@2001:db8::8"
    assert jump.leads(("gcloud", "compute")) == ""
