"""A machine that is there already, played by one of the container driver's: looked at, planned, and left alone."""

from __future__ import annotations

import getpass
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sshd import SSHD, Host

REPO = Path(__file__).resolve().parents[2]
NAME = "existing"
MACHINE = f"hangar-molecule-{NAME}"
ENVIRONMENT = "engine-existing"
ADMIT = """
useradd --create-home --shell /bin/bash owner
cp /etc/ssh/authorized_keys/hangar /etc/ssh/authorized_keys/owner
echo 'owner ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/owner
"""

pytestmark = pytest.mark.machine


def provision(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hangar.cli", *words], cwd=REPO, capture_output=True, text=True, timeout=600,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def inside(script: str) -> str:
    done = subprocess.run(["docker", "exec", MACHINE, "sh", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def host() -> Iterator[dict[str, Any]]:
    """The machine, with an account of its owner's that Hangar did not make."""
    driver = [sys.executable, "-m", "hangar.cloud.local"]
    done = subprocess.run([*driver, "create", NAME], cwd=REPO, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    inside(f"id owner >/dev/null 2>&1 || {{ {ADMIT} }}")
    yield dict(json.loads(done.stdout))
    subprocess.run([*driver, "destroy", NAME], cwd=REPO, capture_output=True, check=True, timeout=300)


@pytest.fixture
def environment(host: dict[str, Any]) -> Iterator[Path]:
    folder = REPO / "inventory" / ENVIRONMENT
    folder.mkdir()
    lines = Path(host["known_hosts"]).read_text().splitlines()
    settings = {
        "cloud": "existing",
        "access": {"private_key": host["private_key"]},
        "existing": {
            "address": host["address"], "port": host["port"], "user": "owner",
            "host_key": [line.split(" ", 1)[1] for line in lines if not line.startswith("#")],
            "ssh_sources": host["ssh_sources"],
        },
    }  # fmt: skip
    (folder / "platform.yml").write_text(json.dumps(settings))
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(REPO / ".hangar" / ENVIRONMENT, ignore_errors=True)


def change(environment: Path, **values: object) -> None:
    file = environment / "platform.yml"
    settings = json.loads(file.read_text())
    settings["existing"] |= values
    file.write_text(json.dumps(settings))


def test_the_plan_shows_what_the_roles_would_change_and_changes_nothing(environment: Path) -> None:
    before = inside("cat /etc/passwd /etc/group; ls -lR /etc /srv | md5sum")
    done = provision("plan", ENVIRONMENT, "--json", "--exit-code")
    assert done.returncode == 4, done.stderr
    found = json.loads(done.stdout)
    (machine,) = found["machine"]
    assert machine["action"] == "update"
    assert machine["fields"] == [["owner in group hangar-admins", "no", "yes"]]
    roles = {task["role"] for task in found["playbook"]["tasks"]}
    assert {"base", "ssh_server", "firewall", "airflow"} <= roles
    assert inside("cat /etc/passwd /etc/group; ls -lR /etc /srv | md5sum") == before


@pytest.mark.skipif(SSHD is None, reason="needs Debian's openssh-server")
def test_the_plan_is_made_over_a_jump_host(environment: Path, host: dict[str, Any], tmp_path: Path) -> None:
    """Hangar's look and Ansible's connections both pass it"""
    public = Path(f"{host['private_key']}.pub").read_text().strip()
    gate = Host(tmp_path / "gate", public)
    gate.start()
    try:
        passed = {"address": "127.0.0.1", "port": gate.port, "user": getpass.getuser(), "host_key": gate.key}
        change(environment, jump=passed)
        done = provision("plan", ENVIRONMENT, "--json", "--exit-code")
    finally:
        gate.stop()
    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["playbook"]["tasks"] != []
    assert gate.logins() >= 2
    off = provision("plan", ENVIRONMENT)
    assert off.returncode == 1
    assert (
        f"leads over {getpass.getuser()}@127.0.0.1 port {gate.port}, and no answer comes back over it."
        in off.stderr
    )


def test_another_host_key_is_refused_before_anything_is_sent(environment: Path, host: dict[str, Any]) -> None:
    key = environment / "stranger"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    kind, data, _ = key.with_suffix(".pub").read_text().split()
    change(environment, host_key=[f"{kind} {data}"])
    shown = re.search(r"SHA256:\S+", output("ssh-keygen", "-lf", str(key)))
    real = re.search(r"SHA256:\S+", inside("ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub"))
    assert shown
    assert real
    # grep ends with 1 where it counts none.
    seen_before = inside("journalctl -u ssh --no-pager | grep -c 'Accepted publickey for owner' || true")
    done = provision("plan", ENVIRONMENT)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-4:] == [
        f"error: The machine at 127.0.0.1 port {host['port']} does not show the SSH host key that platform.yml names;"
        " nothing was sent to it.",
        f"  * It shows: ED25519 {real[0]}",
        f"  * Pinned: ssh-ed25519 {shown[0]}",
        "A stranger may be answering. If the machine was made anew, read its key on its own console (cat"
        " /etc/ssh/ssh_host_ed25519_key.pub) and put that into existing.host_key.",
    ]
    seen = inside("journalctl -u ssh --no-pager | grep -c 'Accepted publickey for owner' || true")
    assert seen == seen_before
    assert not (environment / "hosts.yml").exists()


def test_an_account_that_the_key_does_not_open_is_named(environment: Path, host: dict[str, Any]) -> None:
    change(environment, user="nobody-here")
    done = provision("plan", ENVIRONMENT)
    assert done.returncode == 1
    assert f"error: nobody-here is not admitted at 127.0.0.1 port {host['port']} by" in done.stderr
    assert f"ssh-copy-id -i {host['private_key']} -p {host['port']} nobody-here@127.0.0.1" in done.stderr


def test_an_account_without_sudo_is_named(environment: Path) -> None:
    inside("mv /etc/sudoers.d/owner /root/owner")
    try:
        done = provision("plan", ENVIRONMENT)
    finally:
        inside("mv /root/owner /etc/sudoers.d/owner")
    assert done.returncode == 1
    assert "error: owner does not become root on 127.0.0.1 without a password." in done.stderr
    assert "echo 'owner ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/owner" in done.stderr


def test_destroy_leaves_the_machine_alone(environment: Path) -> None:
    done = provision("destroy", ENVIRONMENT, "--yes", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kept"] == [
        "the machine at 127.0.0.1 itself, as it is now, with all its data"
    ]
    assert not (REPO / ".hangar" / ENVIRONMENT).exists()
    assert inside("id -un owner").strip() == "owner"


def output(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout
