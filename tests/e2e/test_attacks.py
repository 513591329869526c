"""The machine's promises, tried as an attacker would: from outside, as the wrong user, with the wrong key."""

from __future__ import annotations

import json
import resource
import select
import shlex
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import docker
import paramiko
import pytest

from . import plain
from .conftest import Checkout
from .plain import as_user, in_docker


def login(machine: Checkout, user: str, **credentials: Any) -> paramiko.SSHClient:
    """A login that shares nothing with the operator's: no agent, no keys of this account, the host key pinned."""
    where = machine.inventory()
    client = paramiko.SSHClient()
    client.load_host_keys(str(machine.state / "known_hosts"))
    name = f"hangar-{machine.environment}"
    for key in client.get_host_keys()[name].values():
        client.get_host_keys().add(f"[{where['ansible_host']}]:{where['ansible_port']}", key.get_name(), key)
    client.connect(
        where["ansible_host"], int(where["ansible_port"]), user,
        look_for_keys=False, allow_agent=False, timeout=20, **credentials,
    )  # fmt: skip
    return client


@pytest.fixture
def operators_key(machine: Checkout) -> paramiko.PKey:
    return paramiko.Ed25519Key.from_private_key_file(machine.inventory()["ansible_ssh_private_key_file"])


@pytest.fixture
def strangers_key(tmp_path: Path) -> paramiko.PKey:
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "stranger")], check=True
    )
    return paramiko.Ed25519Key.from_private_key_file(str(tmp_path / "stranger"))


def refused(machine: Checkout, user: str, **credentials: Any) -> bool:
    try:
        login(machine, user, **credentials).close()
    except paramiko.AuthenticationException:
        return True
    return False


def test_the_operator_logs_in_with_the_right_key(machine: Checkout, operators_key: paramiko.PKey) -> None:
    with login(machine, "hangar", pkey=operators_key) as client:
        _, out, _ = client.exec_command("id -un")
        assert out.read().decode().strip() == "hangar"


@pytest.mark.parametrize("user", ["root", "airflow", "airbyte", "nobody"])
def test_nobody_else_logs_in_with_the_operators_key(
    machine: Checkout, operators_key: paramiko.PKey, user: str
) -> None:
    assert refused(machine, user, pkey=operators_key)


def test_a_strangers_key_is_refused(machine: Checkout, strangers_key: paramiko.PKey) -> None:
    assert refused(machine, "hangar", pkey=strangers_key)


@pytest.mark.parametrize("user", ["hangar", "root"])
def test_a_password_is_not_even_asked_for(machine: Checkout, user: str) -> None:
    where = machine.inventory()
    with paramiko.Transport((where["ansible_host"], int(where["ansible_port"]))) as transport:
        transport.start_client(timeout=20)
        with pytest.raises(paramiko.BadAuthenticationType) as answer:
            transport.auth_none(user)
        assert set(answer.value.allowed_types) == {"publickey"}


def test_a_key_in_a_home_opens_nothing(machine: Checkout, strangers_key: paramiko.PKey) -> None:
    line = shlex.quote(f"ssh-ed25519 {strangers_key.get_base64()} stranger")
    try:
        machine.ssh(
            f"mkdir -p -m 0700 ~/.ssh && echo {line} >> ~/.ssh/authorized_keys && chmod 0600 ~/.ssh/authorized_keys"
        )
        machine.ssh(
            f"sudo mkdir -p -m 0700 /root/.ssh && echo {line} | sudo tee -a /root/.ssh/authorized_keys >/dev/null"
        )
        assert refused(machine, "hangar", pkey=strangers_key)
        assert refused(machine, "root", pkey=strangers_key)
    finally:
        machine.ssh("rm -f ~/.ssh/authorized_keys; sudo rm -f /root/.ssh/authorized_keys")


def test_a_port_scan_from_outside_sees_22_alone(machine: Checkout, engine: docker.DockerClient) -> None:
    (container,) = engine.containers.list(filters={"label": f"hangar.environment={machine.environment}"})
    (network,) = container.attrs["NetworkSettings"]["Networks"].values()
    assert open_ports(network["IPAddress"]) == [22]


def open_ports(address: str, at_once: int = 4000, patience: float = 1.0) -> list[int]:
    """Every TCP port of an address that accepts a connection within `patience` seconds of the last knock."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    found = []
    for first in range(1, 65536, at_once):
        knocks = {}
        for port in range(first, min(first + at_once, 65536)):
            knock = socket.socket()
            knock.setblocking(False)
            knock.connect_ex((address, port))
            knocks[knock] = port
        until = time.monotonic() + patience
        waiting = select.poll()
        for knock in knocks:
            waiting.register(knock, select.POLLOUT)
        numbers = {knock.fileno(): knock for knock in knocks}
        while (left := until - time.monotonic()) > 0 and numbers:
            for number, _ in waiting.poll(left * 1000):
                waiting.unregister(number)
                knock = numbers.pop(number)
                if knock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
                    found.append(knocks[knock])
        for knock in knocks:
            knock.close()
    return found


def test_ssh_is_published_on_the_laptops_loopback_only(
    machine: Checkout, engine: docker.DockerClient
) -> None:
    (container,) = engine.containers.list(filters={"label": f"hangar.environment={machine.environment}"})
    published = {
        port: {binding["HostIp"] for binding in bindings or []} for port, bindings in container.ports.items()
    }
    assert published == {"22/tcp": {"127.0.0.1"}}


@pytest.mark.parametrize(("user", "other"), [("airflow", "airbyte"), ("airbyte", "airflow")])
def test_a_service_user_cannot_read_the_others_files(machine: Checkout, user: str, other: str) -> None:
    assert machine.ssh(as_user(user, f"ls /srv/{user}/home")).returncode == 0
    folders = (
        *(f"/srv/{other}/{place}" for place in ("home", "secrets", "docker")),
        f"/run/user/$(id -u {other})",
    )
    for place in folders:
        answer = machine.ssh(as_user(user, f"ls {place}"), check=False)
        assert answer.returncode != 0, f"{user} reads {other}'s {place}"
        assert "Permission denied" in answer.stderr


@pytest.mark.parametrize("user", ["airflow", "airbyte"])
def test_a_service_user_cannot_become_root(machine: Checkout, user: str) -> None:
    assert machine.ssh(as_user(user, "sudo -n true"), check=False).returncode != 0
    assert user not in machine.ssh("getent group docker sudo hangar-admins hangar-people || true").stdout


def compose_container(machine: Checkout, name: str) -> str:
    return machine.ssh(in_docker(f"ps -q --filter name={name}")).stdout.split()[0]


def test_a_containers_root_is_not_the_machines_root(machine: Checkout) -> None:
    container = compose_container(machine, "scheduler")
    for user in ("root", "50000"):
        outside = machine.ssh(in_docker(f"exec -u {user} {container} cat /proc/self/uid_map")).stdout.split()
        assert outside[0] == "0"
        assert outside[1] != "0", "container root maps to the machine's root"
    pid = machine.ssh(in_docker(f"inspect -f '{{{{.State.Pid}}}}' {container}")).stdout.strip()
    owner = machine.ssh(f"stat -c %U /proc/{pid}").stdout.strip()
    assert owner != "root"


def test_a_container_cannot_reach_the_metadata_server(machine: Checkout) -> None:
    """The rule is judged by its counter: nothing answers at that address on a laptop anyway."""
    container = compose_container(machine, "scheduler")
    before = refusals(machine)
    machine.ssh(in_docker(
        f"exec {container} timeout 3 python -c 'import socket; socket.create_connection((\"169.254.169.254\", 80), 2)'"
    ), check=False)  # fmt: skip
    assert refusals(machine) > before


def refusals(machine: Checkout) -> int:
    """Packets that the machine's own tables have refused so far, by their counters."""
    listing = json.loads(machine.ssh("sudo nft -j list counters").stdout)["nftables"]
    counters = [entry["counter"] for entry in listing if "counter" in entry]
    return sum(counter["packets"] for counter in counters if counter["table"].startswith("hangar"))


@pytest.fixture(scope="module")
def secrets(machine: Checkout) -> dict[str, str]:
    found = plain.values(machine)
    assert "/srv/airflow/secrets/admin_password" in found
    assert "/srv/airbyte/secrets/airbyte_client_secret" in found
    assert "/srv/warehouse/secrets/dbt" in found
    assert "/srv/monitoring/secrets/scraper_password" in found
    assert "\n" in machine.ssh("sudo cat /srv/monitoring/secrets/web.yml").stdout.strip()
    return found


@pytest.mark.parametrize("place", plain.PLACES)
def test_no_secret_stands_in(machine: Checkout, secrets: dict[str, str], place: str) -> None:
    assert plain.standing_in(machine, place, secrets) == []


def test_no_file_that_others_can_read_holds_a_secret(machine: Checkout, secrets: dict[str, str]) -> None:
    """All but what Debian's packages brought and what the kernel shows; databases and logs are searched too."""
    kept = plain.files_with(machine, secrets, " ".join(plain.KEPT))
    assert set(secrets) <= set(kept), "the search itself finds none"
    copies = plain.files_with(machine, secrets, "/run/user/*/hangar")
    assert any(path.endswith("/secrets/fernet_key") for path in copies), (
        "the containers' copies lie elsewhere"
    )
    assert plain.files_with(machine, secrets, plain.OPEN, user="nobody") == []


def test_no_secret_stands_on_the_laptop(machine: Checkout, secrets: dict[str, str]) -> None:
    files = [
        file for root in (machine.state, machine.hosts.parent) for file in root.rglob("*") if file.is_file()
    ]
    leaks = [
        (file.name, name)
        for file in files
        for name, value in secrets.items()
        if value in file.read_text(errors="replace")
    ]
    assert leaks == []


def test_the_state_folder_is_the_operators_alone(machine: Checkout) -> None:
    assert oct(machine.state.stat().st_mode & 0o777) == "0o700"
    assert oct(machine.hosts.stat().st_mode & 0o077) == "0o0"


def test_a_swapped_host_key_stops_everything(machine: Checkout, tmp_path: Path) -> None:
    """Whoever answers in the machine's place is not talked to."""
    pinned = machine.state / "known_hosts"
    original = pinned.read_text()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")], check=True)
    kind, key = (tmp_path / "other.pub").read_text().split()[:2]
    try:
        pinned.write_text(
            "\n".join(f"{line.split()[0]} {kind} {key}" for line in original.splitlines() if line) + "\n"
        )
        target = [
            "-F",
            str(machine.state / "ssh_config"),
            "-o",
            "ControlPath=none",
            f"hangar-{machine.environment}",
        ]
        answer = subprocess.run(["ssh", *target, "true"], capture_output=True, text=True, timeout=60)
        assert answer.returncode != 0
        assert (
            "REMOTE HOST IDENTIFICATION HAS CHANGED" in answer.stderr
            or "verification failed" in answer.stderr
        )
    finally:
        pinned.write_text(original)
