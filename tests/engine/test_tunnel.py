"""Forwards and ssh-config against a real machine."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hangar import paths
from hangar.cloud.base import Server
from hangar.cloud.container import ContainerCloud
from hangar.ssh import include, tunnel

REPO = Path(__file__).resolve().parents[2]
ENV = "molecule-tunnel"
PORT = 18080

pytestmark = pytest.mark.machine


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A machine with a service on its loopback."""
    driver = [sys.executable, "-m", "hangar.cloud.local"]
    subprocess.run([*driver, "create", "tunnel"], cwd=REPO, check=True, capture_output=True, timeout=600)
    serve = [
        "python3",
        "-m",
        "http.server",
        str(PORT),
        "--bind",
        "127.0.0.1",
        "--directory",
        "/usr/lib/hangar",
    ]
    subprocess.run(["docker", "exec", "-d", f"hangar-{ENV}", *serve], check=True, timeout=60)
    try:
        server = ContainerCloud(ENV).server()
        assert server is not None
        yield server
    finally:
        tunnel.stop(ENV)
        subprocess.run([*driver, "destroy", "tunnel"], cwd=REPO, check=True, capture_output=True, timeout=600)


def fetch(port: int) -> str:
    """What the machine's service answers; it may take a moment to listen."""
    deadline = time.monotonic() + 10
    while True:
        said = subprocess.run(
            ["curl", "-s", f"http://127.0.0.1:{port}/"], capture_output=True, text=True
        ).stdout
        if said or time.monotonic() > deadline:
            return said


@contextmanager
def taken(port: int) -> Iterator[None]:
    with socket.create_server(("127.0.0.1", port)):
        yield


def pid_of_tunnel() -> int | None:
    """Who holds the forwards; None between two of them."""
    said = subprocess.run(
        ["ssh", "-F", "/dev/null", "-S", str(tunnel.control(ENV)), "-O", "check", "x"],
        capture_output=True,
        text=True,
    )
    found = re.search(r"pid=(\d+)", said.stderr)
    return int(found[1]) if found else None


def test_a_service_is_reached_and_the_forward_is_kept(server: Server) -> None:
    (forward,) = tunnel.ensure(server, {"web": PORT})
    assert not forward.moved
    assert "init" in fetch(forward.local)
    pid = pid_of_tunnel()
    assert tunnel.ensure(server, {"web": PORT}) == (forward,)
    assert pid_of_tunnel() == pid


def test_a_killed_forward_is_replaced(server: Server) -> None:
    tunnel.ensure(server, {"web": PORT})
    pid = pid_of_tunnel()
    assert pid
    os.kill(pid, signal.SIGKILL)
    (forward,) = tunnel.ensure(server, {"web": PORT})
    assert "init" in fetch(forward.local)


def wait_for_another(pid: int | None) -> None:
    """Returns when another process holds the forwards."""
    deadline = time.monotonic() + 30
    while pid_of_tunnel() in (None, pid):
        assert time.monotonic() < deadline, "it did not come back"
        time.sleep(0.1)  # between two looks at the condition


def test_a_forward_comes_back_by_itself(server: Server) -> None:
    """The machine's end is gone, as after its restart"""
    (forward,) = tunnel.ensure(server, {"web": PORT})
    pid = pid_of_tunnel()
    container = f"hangar-{ENV}"
    subprocess.run(
        ["docker", "exec", container, "pkill", "-f", "sshd-session: hangar"], check=True, timeout=60
    )
    wait_for_another(pid)
    assert "init" in fetch(forward.local)


def test_a_network_that_falls_silent_is_noticed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing ends the connection; signs of life stay away, and when the network is back so is the forward"""
    monkeypatch.setattr(tunnel, "SIGN_OF_LIFE", 1)
    monkeypatch.setattr(tunnel, "MISSING_SIGNS", 2)
    tunnel.stop(ENV)
    (forward,) = tunnel.ensure(server, {"web": PORT})
    pid = pid_of_tunnel()
    subprocess.run(["docker", "pause", f"hangar-{ENV}"], check=True, timeout=60)
    try:
        deadline = time.monotonic() + 20
        while pid_of_tunnel() == pid:
            assert time.monotonic() < deadline, "the dead connection was kept"
            time.sleep(0.1)  # between two looks at the condition
    finally:
        subprocess.run(["docker", "unpause", f"hangar-{ENV}"], check=True, timeout=60)
    wait_for_another(pid)
    assert "init" in fetch(forward.local)


def test_a_taken_port_is_left_to_its_owner(server: Server) -> None:
    tunnel.stop(ENV)
    with taken(PORT):
        (forward,) = tunnel.ensure(server, {"web": PORT})
        assert forward.moved
        assert "init" in fetch(forward.local)


def test_opening_a_forward_does_not_hold_on_to_a_pipe(server: Server) -> None:
    tunnel.stop(ENV)
    script = (
        "from hangar.ssh import tunnel; from hangar.cloud.container import ContainerCloud; "
        f"s = ContainerCloud('{ENV}').server(); print(tunnel.ensure(s, {{'web': {PORT}}}))"
    )
    # Returns when every writer of the pipe is gone, so a background process that kept it would time out here.
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=REPO, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    assert tunnel.is_alive(ENV)


def test_stop_closes_it(server: Server) -> None:
    (forward,) = tunnel.ensure(server, {"web": PORT})
    assert tunnel.stop(ENV)
    time.sleep(tunnel.keeper.FIRST_PAUSE * 1.5)  # what keeps it open must not open it again
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", forward.local), timeout=5)


def test_ssh_knows_the_machine_by_its_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    tunnel.stop(ENV)
    include.write(server, paths.default_private_key(ENV), tunnel.planned(server, {"web": PORT}))
    config = str(include.include_file(ENV))
    (forward,) = tunnel.planned(server, {"web": PORT})
    session = subprocess.Popen(
        ["ssh", "-F", config, server.name, "echo ready; cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert session.stdout is not None
        assert session.stdout.readline() == b"ready\n"
        assert "init" in fetch(forward.local), (
            "the session brings the forward when none is open in the background"
        )
    finally:
        session.communicate(b"")
    tunnel.ensure(server, {"web": PORT})
    quiet = subprocess.run(
        ["ssh", "-F", config, server.name, "true"], capture_output=True, text=True, timeout=60
    )
    assert (quiet.returncode, quiet.stderr) == (0, ""), (
        "with an open tunnel it does not try to bind the port again"
    )
