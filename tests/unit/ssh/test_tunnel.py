from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.process import Completed
from hangar.ssh import tunnel


class FakeSsh:
    """Stands for the ssh program: opens and closes the process that holds the forwards."""

    def __init__(self) -> None:
        self.opened: list[list[str]] = []
        self.alive = False
        self.refuse = False

    def run(self, argv: Sequence[str], **options: object) -> Completed:
        argv = list(argv)
        if "-O" in argv:
            answer = 0 if self.alive else 255
            if argv[argv.index("-O") + 1] == "exit":
                self.alive = False
            return Completed(tuple(argv), answer, "", "")
        raise AssertionError(argv)

    def heralded(self, argv: Sequence[str], *, log: Path, timeout: float) -> str:
        if self.refuse:
            log.write_text("Permission denied (publickey).")
            return ""
        self.opened.append([word for word in argv if word.startswith("-L")])
        self.alive = True
        tunnel.control("local").touch()
        return "open"


@pytest.fixture
def ssh(monkeypatch: pytest.MonkeyPatch) -> FakeSsh:
    fake = FakeSsh()
    monkeypatch.setattr("hangar.process.run", fake.run)
    monkeypatch.setattr("hangar.ssh.tunnel.heralded", fake.heralded)
    monkeypatch.setattr(tunnel, "is_free", lambda port: port != 8080 or not busy)
    busy: list[int] = []
    fake.busy = busy  # type: ignore[attr-defined]
    return fake


def test_a_service_keeps_its_port(server: Server, ssh: FakeSsh) -> None:
    (forward,) = tunnel.ensure(server, {"airflow": 8080})
    assert forward == tunnel.Forward("airflow", 8080, 8080)
    assert forward.url == "http://127.0.0.1:8080"
    assert forward.page == "http://airflow.localhost:8080", "cookies do not tell ports apart"
    assert not forward.moved
    assert ssh.opened == [["-L127.0.0.1:8080:127.0.0.1:8080"]]


def test_a_taken_port_moves_to_the_next_free_one_and_says_so(server: Server, ssh: FakeSsh) -> None:
    ssh.busy.append(8080)  # type: ignore[attr-defined]
    (forward,) = tunnel.ensure(server, {"airflow": 8080})
    assert forward.local == 8081
    assert forward.moved


def test_an_open_tunnel_is_kept(server: Server, ssh: FakeSsh) -> None:
    first = tunnel.ensure(server, {"airflow": 8080})
    assert tunnel.ensure(server, {"airflow": 8080}) == first
    assert len(ssh.opened) == 1


@pytest.mark.parametrize("why", ["dead", "new machine", "other services"])
def test_a_tunnel_that_does_not_fit_is_replaced(server: Server, ssh: FakeSsh, why: str) -> None:
    tunnel.ensure(server, {"airflow": 8080})
    ssh.alive = why != "dead"
    machine = replace(server, id="id-2") if why == "new machine" else server
    services = {"airflow": 8090} if why == "other services" else {"airflow": 8080}
    tunnel.ensure(machine, services)
    assert len(ssh.opened) == 2


def test_a_moved_service_keeps_its_place_while_the_usual_one_is_taken(server: Server, ssh: FakeSsh) -> None:
    ssh.busy.append(8080)  # type: ignore[attr-defined]
    tunnel.ensure(server, {"airflow": 8080})
    tunnel.stop("local")
    (forward,) = tunnel.ensure(server, {"airflow": 8080})
    assert forward.local == 8081


def test_two_services_never_share_a_port(server: Server, ssh: FakeSsh) -> None:
    ssh.busy.append(8080)  # type: ignore[attr-defined]
    forwards = tunnel.ensure(server, {"airflow": 8080, "warehouse": 8081})
    assert [forward.local for forward in forwards] == [8081, 8082]


def test_what_ssh_config_writes_down_stays_the_same(server: Server, ssh: FakeSsh) -> None:
    ssh.busy.append(8080)  # type: ignore[attr-defined]
    first = tunnel.planned(server, {"airflow": 8080})
    assert first == (tunnel.Forward("airflow", 8080, 8081),)
    assert tunnel.planned(server, {"airflow": 8080}) == first
    assert tunnel.ensure(server, {"airflow": 8080}) == first
    assert ssh.opened == [["-L127.0.0.1:8081:127.0.0.1:8080"]]


def test_a_port_that_our_own_session_holds_is_not_taken(
    server: Server, ssh: FakeSsh, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = tunnel.planned(server, {"airflow": 8080})
    ssh.busy.append(8080)  # type: ignore[attr-defined]
    monkeypatch.setattr("hangar.ssh.shared.is_alive", lambda env: True)
    assert tunnel.planned(server, {"airflow": 8080}) == first


def test_stop_says_whether_there_was_anything(server: Server, ssh: FakeSsh) -> None:
    tunnel.ensure(server, {"airflow": 8080})
    assert tunnel.stop("local")
    assert not tunnel.stop("local")
    assert tunnel.current("local") == ()


def test_a_failure_shows_what_ssh_said(server: Server, ssh: FakeSsh) -> None:
    ssh.refuse = True
    with pytest.raises(HangarError) as caught:
        tunnel.ensure(server, {"airflow": 8080})
    assert caught.value.brief == "The forwards to hangar-local could not be opened."
    assert caught.value.details.endswith("Permission denied (publickey).")


def test_a_listening_port_is_not_free() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert not tunnel.is_free(taken.getsockname()[1])


@pytest.mark.skipif(not socket.has_ipv6, reason="Python without IPv6")
def test_a_port_that_is_taken_by_ipv6_alone_is_not_free() -> None:
    """Browsers ask ::1 first for a name under localhost"""
    try:
        taken = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("this computer has no IPv6")
    with taken:
        port = taken.getsockname()[1]
        with socket.create_server(("127.0.0.1", port)):
            pass  # which alone would go
        assert not tunnel.is_free(port)
    assert tunnel.is_free(port)


@pytest.mark.parametrize("place", ["0.0.0.0", "::1"])
def test_a_port_that_macos_would_let_be_bound_all_the_same_is_not_free(
    place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There SO_REUSEADDR lets one program have an address while another has all of them"""
    monkeypatch.setattr("hangar.ports._can_have", lambda family, address, port: True)
    family = socket.AF_INET6 if ":" in place else socket.AF_INET
    try:
        taken = socket.create_server((place, 0), family=family)
    except OSError:
        pytest.skip("this computer has no IPv6")
    with taken:
        port = taken.getsockname()[1]
        assert not tunnel.is_free(port)
    assert tunnel.is_free(port)


def test_a_computer_without_ipv6_has_free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    for error in (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL):
        monkeypatch.setattr("hangar.ports.socket.socket", without_ipv6(error))
        assert tunnel.is_free(port)


def without_ipv6(error: int) -> Callable[[int], socket.socket]:
    made = socket.socket

    def make(family: int) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(error, "no IPv6")
        return made(family)

    return make
