"""A developer's day with a real OpenSSH client: what an editor needs of the connection, and what it must not get."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.pace import allowed
from tests.runtime import free_port

from .conftest import Checkout

CHANNELS = 40
SHARED_WITHIN = 0.15
"""Seconds for a command through the shared connection."""
DOCTOR_WITHIN = 6.0

DAG = """
import os
from airflow.sdk import dag, task

@dag(schedule=None)
def tried():
    @task
    def look():
        print("of the platform: " + str([name for name in os.environ if "AIRFLOW_CONN" in name]))
        assert not os.access("/srv/airflow/secrets/fernet_key", os.R_OK)
    look()

tried()
"""


@dataclass(frozen=True)
class Developer:
    """Somebody's home, and ssh as they call it."""

    checkout: Checkout
    home: Path

    @property
    def config(self) -> str:
        """The include file itself: ssh asks the account for its home, not the environment."""
        return str(self.home / ".ssh/config.d" / self.host)

    @property
    def host(self) -> str:
        return f"hangar-{self.checkout.environment}"

    def ssh(self, *words: str, input: str = "", timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", "-F", self.config, *words],
            input=input, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    @contextlib.contextmanager
    def forward(self, *options: str, port: int) -> Iterator[None]:
        """A connection of its own with these forwards, as an editor opens it."""
        argv = ["ssh", "-F", self.config, "-S", "none", "-N", "-o", "ExitOnForwardFailure=yes",
                "-o", "ClearAllForwardings=no", *options, self.host]  # fmt: skip
        process = subprocess.Popen(argv, stderr=subprocess.PIPE, text=True)
        try:
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), timeout=5).close()
                    break
                except ConnectionRefusedError:
                    assert process.poll() is None, process.stderr and process.stderr.read()
                    assert time.monotonic() < deadline, "the forward did not open"
                    time.sleep(0.05)  # between two looks at the condition
            yield
        finally:
            process.kill()  # a SIGTERM just before ssh's poll would be heard at the next keep-alive
            process.communicate(timeout=10)


@pytest.fixture(scope="module")
def developer(machine: Checkout) -> Iterator[Developer]:
    """A home of its own, near the root: a socket's path is short."""
    home = Path(tempfile.mkdtemp(prefix="hangar-home-", dir="/tmp"))
    before = os.environ["HOME"]
    os.environ["HOME"] = str(home)
    try:
        machine.hangar("ssh-config", "--yes")
        yield Developer(machine, home)
        config = home / f".ssh/config.d/hangar-{machine.environment}"
        subprocess.run(
            ["ssh", "-F", str(config), "-O", "exit", f"hangar-{machine.environment}"], capture_output=True
        )
    finally:
        os.environ["HOME"] = before
        shutil.rmtree(home)


def airflow(machine: Checkout) -> int:
    return int(machine.inventory()["airflow_port"])


def asked_through(socks: int, port: int) -> bytes:
    """The first words of an HTTP service behind a dynamic forward."""
    with socket.create_connection(("127.0.0.1", socks), timeout=60) as channel:
        channel.sendall(b"\x05\x01\x00")
        assert channel.recv(2) == b"\x05\x00"
        channel.sendall(b"\x05\x01\x00\x01" + socket.inet_aton("127.0.0.1") + port.to_bytes(2, "big"))
        assert channel.recv(10)[:2] == b"\x05\x00"
        channel.sendall(
            b"GET /api/v2/version HTTP/1.1\r\nHost: airflow.localhost\r\nConnection: close\r\n\r\n"
        )
        return channel.recv(12)


def test_a_command_through_the_shared_connection_comes_at_once(developer: Developer) -> None:
    assert developer.ssh(developer.host, "true").returncode == 0
    took = []
    for _ in range(5):
        start = time.monotonic()
        done = developer.ssh(developer.host, "true")
        took.append(time.monotonic() - start)
        assert (done.returncode, done.stderr) == (0, "")
    print(f"ssh {developer.host} true: {min(took):.3f} s")
    assert min(took) <= allowed(SHARED_WITHIN)


def test_an_editor_has_forty_channels_at_once_on_one_connection(
    developer: Developer, machine: Checkout
) -> None:
    socks = free_port()
    with developer.forward("-D", f"127.0.0.1:{socks}", port=socks), ThreadPoolExecutor(CHANNELS) as pool:
        answers = list(pool.map(lambda _: asked_through(socks, airflow(machine)), range(CHANNELS)))
    assert answers == [b"HTTP/1.1 200"] * CHANNELS


def test_a_page_is_reached_by_a_local_forward_under_its_own_name(
    developer: Developer, machine: Checkout
) -> None:
    port = free_port()
    with developer.forward(f"-L127.0.0.1:{port}:127.0.0.1:{airflow(machine)}", port=port):
        done = subprocess.run(
            ["curl", "-s", "--resolve", f"airflow.localhost:{port}:127.0.0.1", f"http://airflow.localhost:{port}/api/v2/version"],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    assert '"version"' in done.stdout


def test_a_forward_reaches_no_socket_and_nothing_that_asks_nobody(
    developer: Developer, machine: Checkout
) -> None:
    """A forward leads to no socket file, and not to the figures of the machine"""
    port = free_port()
    with (
        developer.forward(f"-L127.0.0.1:{port}:/run/dbus/system_bus_socket", port=port),
        socket.create_connection(("127.0.0.1", port), timeout=10) as channel,
    ):
        channel.sendall(b"\0AUTH EXTERNAL\r\n")
        with contextlib.suppress(ConnectionResetError):  # refused as well
            assert channel.recv(8) == b""
    figures = machine.inventory()["monitoring_port"]
    refused = developer.ssh("-S", "none", "-W", f"127.0.0.1:{figures}", developer.host)
    assert refused.returncode == 255
    assert "Connection refused" in refused.stderr
    assert machine.ssh(f"sudo curl -s -o /dev/null http://127.0.0.1:{figures}/metrics").returncode == 0


def test_doctor_walks_the_way_to_a_working_editor(developer: Developer, machine: Checkout) -> None:
    start = time.monotonic()
    done = machine.hangar("doctor")
    took = time.monotonic() - start
    print(f"doctor: {took:.1f} s")
    for step in (
        "Name for ssh",
        "Key",
        "Port",
        "Host key",
        "Login",
        "Forwards",
        "Disk",
        "Programs run",
        "DAG folder",
    ):
        assert f"✓ {step.ljust(13)}" in done.stdout, done.stdout
    assert took <= allowed(DOCTOR_WITHIN)


def test_a_dag_is_tried_under_the_debugger_without_anything_of_the_platforms(developer: Developer) -> None:
    script = r"""set -e
    export HOME=$(mktemp -d); trap 'rm -rf "$HOME"' EXIT
    mkdir $HOME/dags; cd $HOME/dags; cat > tried.py
    python=/opt/hangar/airflow/bin/python
    $python -Xfrozen_modules=off -m debugpy --listen 127.0.0.1:0 /usr/local/bin/try-dag tried.py 2>&1
    stat -c 'mode %a' $HOME/.try-dag; ls $HOME/.try-dag"""
    done = developer.ssh(developer.host, script, input=DAG, timeout=240)
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr}"
    lines = done.stdout.splitlines()
    assert "tried: success" in lines
    assert "of the platform: []" in lines
    assert "mode 700" in lines
    assert "airflow.db" in lines
