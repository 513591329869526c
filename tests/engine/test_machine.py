"""The container driver on a real engine: made once, left alone, repaired, and gone without a trace."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

REPO = Path(__file__).resolve().parents[2]
NAME = "engine"
MACHINE = f"hangar-molecule-{NAME}"
CHANGES_BY_ITSELF = (
    "fs/dentry-state", "fs/file-nr", "fs/inode-nr", "fs/inode-state", "fs/quota/", "fs/aio-nr", "kernel/ns_last_pid",
    "kernel/pty/nr", "kernel/random/", "kernel/seccomp/", "net/netfilter/nf_conntrack_count", "fs/mqueue/",
)  # fmt: skip
"""Counters, which change without anybody's setting them."""

pytestmark = pytest.mark.machine


def driver(*words: str) -> list[str]:
    return [sys.executable, "-m", "hangar.cloud.local", *words, NAME]


def run(*words: str) -> dict[str, object]:
    done = subprocess.run(driver(*words), cwd=REPO, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def inside(*argv: str, check: bool = True) -> str:
    done = subprocess.run(["docker", "exec", MACHINE, *argv], capture_output=True, text=True, timeout=300)
    assert not check or done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def parameters() -> dict[str, str]:
    """This computer's kernel parameters, without counters and without what belongs to single interfaces."""
    found = {}
    for path in Path("/proc/sys").rglob("*"):
        name = path.relative_to("/proc/sys").as_posix()
        if name.startswith(CHANGES_BY_ITSELF) or any(part in name for part in ("/veth", "/br-", "/docker")):
            continue
        try:
            found[name] = path.read_text() if path.is_file() else ""
        except (OSError, UnicodeDecodeError):
            continue  # some can be written only
    return found


ENGINES_OWN = re.compile(r"DOCKER|docker0|br-[0-9a-f]{12}|-j MASQUERADE")
"""Rules that the engine makes and removes by itself for every network and every published port."""


def firewall() -> list[str]:
    """This computer's firewall but for the engine's own rules."""
    rules = [
        line for program in ("iptables-save", "ip6tables-save") for line in output(program)
        if line.startswith("-A") and not ENGINES_OWN.search(line)
    ]  # fmt: skip
    for table in output("nft", "list", "tables"):
        # The tables of iptables are in the list above.
        if not re.fullmatch(r"table ip6? (filter|nat|raw|mangle)", table):
            rules += output("nft", "--stateless", "list", *table.split())
    return rules


def output(*argv: str) -> list[str]:
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.splitlines()
    except FileNotFoundError:
        return []


@pytest.fixture(scope="module")
def laptop() -> tuple[dict[str, str], list[str]]:
    return parameters(), firewall()


@pytest.fixture(scope="module")
def machine(laptop: object) -> Iterator[dict[str, object]]:
    run("destroy")
    yield run("create")
    run("destroy")


def test_the_machine_answers_over_ssh_and_leads_to_root(machine: dict[str, object]) -> None:
    config = REPO / ".hangar" / f"molecule-{NAME}" / "ssh_config"
    said = subprocess.run(
        ["ssh", "-F", str(config), "-o", "ControlPath=none", MACHINE, "sudo -n id -u; hostname"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.split() == ["0", MACHINE], said.stderr
    proof = [sys.executable, "-m", "hangar.ssh", "prove", "--env", f"molecule-{NAME}"]
    assert subprocess.run(proof, cwd=REPO, timeout=60).returncode == 0


def test_systemd_runs_and_nothing_failed(machine: dict[str, object]) -> None:
    assert inside("systemctl", "is-system-running") == "running"


def test_a_second_creation_changes_nothing(machine: dict[str, object]) -> None:
    engine = docker.from_env()
    before = engine.containers.get(MACHINE).attrs
    assert run("create") == machine
    after = engine.containers.get(MACHINE).attrs
    assert (after["Id"], after["State"]["StartedAt"]) == (before["Id"], before["State"]["StartedAt"])


def test_its_host_keys_and_its_id_are_its_own(machine: dict[str, object]) -> None:
    image = docker.from_env().containers.get(MACHINE).image
    assert image is not None
    look = "ls /etc/ssh/ssh_host_* 2>/dev/null; cat /etc/machine-id"
    said = subprocess.run(
        ["docker", "run", "--rm", "--entrypoint", "sh", str(image.id), "-c", look],
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.strip() == "", "the image holds a key or an id that every machine would share"
    assert len(inside("cat", "/etc/machine-id")) == 32


def test_it_survives_a_restart_at_the_same_port(machine: dict[str, object]) -> None:
    inside("sh", "-c", "echo kept > /srv/kept")
    subprocess.run(["docker", "stop", "-t", "30", MACHINE], check=True, capture_output=True, timeout=60)
    assert run("create") == machine
    assert inside("cat", "/srv/kept") == "kept"


def test_root_cannot_change_the_computers_kernel(machine: dict[str, object]) -> None:
    for path in (
        "/proc/sys/kernel/panic",
        "/proc/sys/fs/file-max",
        "/proc/sys/vm/swappiness",
        "/proc/sysrq-trigger",
    ):
        said = inside("sh", "-c", f"cat {path} 2>/dev/null | tee {path} || echo refused", check=False)
        assert "refused" in said or said == "", path
        assert inside("sh", "-c", f"test -w {path} && echo writable", check=False) == "", path
    assert "Operation not permitted" in inside("sh", "-c", "date -s 2001-01-01 2>&1", check=False)


def test_parameters_of_the_network_are_its_own(machine: dict[str, object]) -> None:
    inside("sh", "-c", "echo net.ipv4.ip_unprivileged_port_start=1000 > /etc/sysctl.d/t.conf")
    inside("sh", "-c", "echo vm.swappiness=7 >> /etc/sysctl.d/t.conf")
    inside("systemctl", "restart", "systemd-sysctl")
    assert inside("cat", "/proc/sys/net/ipv4/ip_unprivileged_port_start") == "1000"
    assert inside("cat", "/proc/sys/vm/swappiness") != "7"
    assert Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text().strip() != "1000"


def test_a_service_user_can_make_nested_namespaces(machine: dict[str, object]) -> None:
    inside("useradd", "--create-home", "tester")
    nested = "unshare -Urmnpf --mount-proc sh -c 'mount -t sysfs sysfs /mnt && ls /mnt/class/net'"
    assert inside("su", "tester", "-c", nested) == "lo"
    hidden = inside("su", "tester", "-c", "ls /run/hangar/proc 2>&1", check=False)
    assert "Permission denied" in hidden


def test_packages_with_parameters_of_their_own_change_nothing_here(
    machine: dict[str, object], laptop: tuple[dict[str, str], list[str]]
) -> None:
    inside("sh", "-c", "apt-get -q update >/dev/null && DEBIAN_FRONTEND=noninteractive apt-get -qy install "
                       "--no-install-recommends udev linux-sysctl-defaults >/dev/null 2>&1")  # fmt: skip
    subprocess.run(["docker", "restart", "-t", "30", MACHINE], check=True, capture_output=True, timeout=60)
    run("create")
    assert inside("systemctl", "is-active", "systemd-udevd", check=False) == "inactive"
    assert parameters() == laptop[0]


def test_a_creation_killed_at_any_moment_is_repaired() -> None:
    for patience in (0.45, 0.6, 0.75, 0.9, 1.1):
        run("destroy")
        process = subprocess.Popen(
            driver("create"), cwd=REPO, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(patience)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        assert run("create")["name"] == MACHINE
    assert len(docker.from_env().containers.list(all=True, filters={"name": MACHINE})) == 1


def test_destroy_leaves_nothing_and_the_computer_is_as_before(
    laptop: tuple[dict[str, str], list[str]],
) -> None:
    run("create")
    assert run("destroy")["removed"]
    engine = docker.from_env()
    mine = {"label": f"hangar.environment=molecule-{NAME}"}
    assert engine.containers.list(all=True, filters=mine) == []
    assert engine.networks.list(filters=mine) == []
    assert engine.volumes.list(filters=mine) == []
    assert not (REPO / ".hangar" / f"molecule-{NAME}").exists()
    assert run("destroy") == {"removed": []}
    before, now = laptop[0], parameters()
    assert {name: now.get(name) for name in before} == before
    assert firewall() == laptop[1]
