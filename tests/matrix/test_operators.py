"""A second operator: an admin with the repository and a key of their own, on a computer that never ran `up`."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import Checkout

REFUSED = 255
"""How ssh ends when it is refused."""


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("colleague") / "bea"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "bea", "-f", str(path)], check=True)
    return path


def people(place: Checkout, action: str, name: str, *options: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        ["./provision.py", "people", action, name, place.environment, *options, "--yes", "--json"],
        cwd=place.path, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def colleague(machine: Checkout, key: Path) -> Iterator[Checkout]:
    """Another clone, with the platform.yml that both share and nothing of the first one's state."""
    own = machine.state / "id_ed25519.pub"
    people(machine, "add", "ada", "--role", "admin", "--key", str(own))
    people(machine, "add", "bea", "--role", "admin", "--key", f"{key}.pub")
    path = key.parent / "hangar"
    subprocess.run(["git", "clone", "-q", str(machine.path), str(path)], check=True)
    folder = path / "inventory" / machine.environment
    folder.mkdir(exist_ok=True)
    shutil.copy(machine.path / "inventory" / machine.environment / "platform.yml", folder)
    yield Checkout(path, machine.environment)
    shutil.rmtree(path)


def test_the_second_operator_finds_nothing_to_do(machine: Checkout, colleague: Checkout, key: Path) -> None:
    mine = ("--set", f"access.private_key={key}")
    assert colleague.hangar("plan", "--exit-code", *mine).returncode == 0
    colleague.hangar("up", "--yes", *mine)
    assert colleague.report()["changed"] == 0
    assert json.loads(colleague.hangar("status", "--json", *mine).stdout)["machine"]["state"] == "running"


def test_the_first_operator_is_still_in(machine: Checkout, colleague: Checkout) -> None:
    assert machine.ssh("sudo -n id -un").stdout == "root\n"
    machine.hangar("up", "--yes")
    assert machine.report()["changed"] == 0


def test_an_operator_who_leaves_is_out_of_the_operators_account_too(
    machine: Checkout, colleague: Checkout
) -> None:
    assert colleague.ssh("true").returncode == 0
    people(machine, "remove", "bea")
    assert colleague.ssh("true", check=False).returncode == REFUSED
    assert machine.ssh("true").returncode == 0
