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
    before = (machine.path / "inventory" / machine.environment / "platform.yml").read_text()
    people(machine, "add", "ada", "--role", "admin", "--key", str(machine.state / "id_ed25519.pub"))
    people(machine, "add", "bea", "--role", "admin", "--key", f"{path}.pub")
    yield path
    (machine.path / "inventory" / machine.environment / "platform.yml").write_text(before)
    machine.hangar("up", "--yes")


def as_operator(machine: Checkout, key: Path, command: str) -> subprocess.CompletedProcess[str]:
    """What the machine's own account answers to this key, and to no other."""
    where = machine.inventory()
    argv = [
        "ssh", "-F", "none", "-i", str(key), "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
        "-o", f"UserKnownHostsFile={machine.state / 'known_hosts'}", "-o", "StrictHostKeyChecking=yes",
        "-o", f"HostKeyAlias=hangar-{machine.environment}", "-p", str(where["ansible_port"]),
        f"{where['ansible_user']}@{where['ansible_host']}", command,
    ]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60)


def test_both_operators_are_root_by_the_same_account(machine: Checkout, key: Path) -> None:
    assert as_operator(machine, key, "sudo -n id -un").stdout == "root\n"
    assert machine.ssh("sudo -n id -un").stdout == "root\n"


def test_a_plan_finds_nothing_to_do_with_two_of_them(machine: Checkout, key: Path) -> None:
    """That each one's computer writes the same keys is tried in tests/unit: a container belongs to one checkout"""
    machine.hangar("up", "--yes")
    assert machine.report()["changed"] == 0


def test_an_operator_who_leaves_is_out_of_that_account_too(machine: Checkout, key: Path) -> None:
    people(machine, "remove", "bea")
    assert as_operator(machine, key, "true").returncode == REFUSED
    assert machine.ssh("true").returncode == 0
