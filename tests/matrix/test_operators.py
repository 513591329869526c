"""A second operator: an admin with a key of their own, who may do what the first one may, until they leave."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Checkout

REFUSED = 255
"""How ssh ends when it is refused."""


def people(place: Checkout, action: str, name: str, *options: str) -> None:
    done = subprocess.run(
        ["./provision.py", "people", action, name, place.environment, *options, "--yes", "--json"],
        cwd=place.path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def key(machine: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The key of bea, who is an admin beside ada, the first operator."""
    path = tmp_path_factory.mktemp("colleague") / "bea"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bea", "-f", str(path)], check=True)
    before = machine.platform.read_text()
    people(machine, "add", "ada", "--role", "admin", "--key", str(machine.state / "id_ed25519.pub"))
    people(machine, "add", "bea", "--role", "admin", "--key", f"{path}.pub")
    yield path
    machine.platform.write_text(before)
    machine.hangar("up", "--yes")


def argv(machine: Checkout, key: Path, command: str) -> list[str]:
    """A login as the machine's own account with this key, and with no other."""
    where = machine.inventory()
    return [
        "ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={machine.state / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
        "-o", f"HostKeyAlias=hangar-{machine.environment}", "-p", str(where["ansible_port"]),
        f"{where['ansible_user']}@{where['ansible_host']}", command,
    ]  # fmt: skip


def as_operator(machine: Checkout, key: Path, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv(machine, key, command), capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60
    )


def holding(machine: Checkout, key: Path, script: str) -> subprocess.Popen[str]:
    """A root shell in an open session of that account, once it has done its part."""
    session = subprocess.Popen(
        argv(machine, key, f"sudo -n sh -c '{script}'"),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert session.stdout is not None
    assert session.stdout.readline() == "there\n"
    return session


def test_both_operators_are_root_by_the_same_account(machine: Checkout, key: Path) -> None:
    assert as_operator(machine, key, "sudo -n id -un").stdout == "root\n"
    assert machine.ssh("sudo -n id -un").stdout == "root\n"


def test_a_plan_finds_nothing_to_do_with_two_of_them(machine: Checkout, key: Path) -> None:
    """That each one's computer writes the same keys is tried in tests/unit: a container belongs to one checkout"""
    machine.hangar("up", "--yes")
    assert machine.changed() == []


def test_an_operator_who_leaves_is_out_of_that_account_too(machine: Checkout, key: Path) -> None:
    """With the root shell that they hold by it and what they left in the background; the others' sessions go on"""
    background = "setsid sleep 7310 </dev/null >/dev/null 2>&1 &"
    hers = holding(machine, key, f"{background} echo there; exec sleep 7311")
    others = holding(machine, machine.state / "id_ed25519", "echo there; exec sleep 7312")
    running = "pgrep -f '^sleep 731[0-2]'"
    try:
        machine.ssh(f'timeout 10 sh -c "until test \\$({running} | wc -l) = 3; do :; done"')
        people(machine, "remove", "bea")
        assert hers.wait(timeout=10) == REFUSED
        assert as_operator(machine, key, "true").returncode == REFUSED
        assert machine.ssh("true").returncode == 0
        assert others.poll() is None
        assert machine.ssh(f"{running} | xargs ps -o args=").stdout == "sleep 7312\n"
    finally:
        for session in (hers, others):
            session.kill()
        machine.ssh("sudo pkill -f '^sleep 731[0-2]'", check=False)
