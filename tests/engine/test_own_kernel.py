"""What a container cannot show, on a kernel of its own and again after a restart: parameters, closed modules, what the
kernel is started with, and a firewall that is there before the network.

The virtual machine is the driver's own (cloud: vm), from the image of its root, by its launcher, with the files that
the roles write. The roles themselves run on such a machine in the molecule scenario `vm`, which takes much longer.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import docker
import pytest
import yaml

from hangar.cloud.vm.images import FOLDER, Images
from hangar.cloud.vm.request import LAUNCHER
from hangar.paths import REPO
from tests.templates.render import render, value

HERE = Path(__file__).parent / "own_kernel"
BOOTS = 1500
"""Seconds for both lives. Where the processor is emulated each takes a minute on an idle computer."""

KERNEL_FILES = (
    "/etc/default/grub.d/50-hangar-hardening.cfg",
    "/etc/modprobe.d/hangar-hardening.conf",
    "/etc/sysctl.d/70-hangar-hardening.conf",
)
FIREWALL_FILES = (
    "/etc/hangar/firewall.nft",
    "/etc/systemd/system/hangar-firewall.service",
    "/usr/local/lib/hangar/firewall",
)
FILL = """set -eu
cp -r /q/tree/. /
chmod 0755 /usr/local/lib/hangar/firewall
systemctl --quiet enable hangar-firewall.service
for number in 20001 20002; do useradd --no-create-home --uid $number one$number; done
tar -C / --one-file-system --exclude=./q --exclude=./.dockerenv -cf - . |
    mke2fs -q -t ext4 -L hangar-root -d - /q/root.raw 3G
"""
LAUNCH = (
    f"python3 /q/{LAUNCHER} --name trial --startup /q/startup.sh --disk /q/root.raw --data /q/data.raw --run /q/run"
    " --cpus 2 --memory-mib 1024 --disk-gib 3 --data-gib 1"
)

Life = dict[str, list[str]]


def parameters() -> dict[str, str]:
    found = value("hardening_kernel", "__hardening_kernel_parameters")
    return {name: str(wanted) for name, wanted in found.items()}


def closed_modules() -> list[str]:
    return [str(name) for name in value("hardening_kernel", "__hardening_kernel_closed")]


def lives_of(said: str) -> list[Life]:
    """What the machine said in each of its lives, by part."""
    lives: list[Life] = []
    for part in said.split("=== ")[1:]:
        name, *lines = part.split("\n")
        if name == "life":
            lives.append({})
        lives[-1][name] = [line for line in lines if line]
    return lives


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> list[Life]:
    folder = tmp_path_factory.mktemp("kernel")
    tree, run = folder / "tree", folder / "run"
    given = tree / "usr/lib/hangar/trial"
    for place in (given, run):
        place.mkdir(parents=True)
    for role, files in (("hardening_kernel", KERNEL_FILES), ("firewall", FIREWALL_FILES)):
        for path in files:
            target = tree / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(render(role, path))
    (given / "parameters").write_text("\n".join(parameters()))
    (given / "modules").write_text("\n".join(closed_modules()) + "\n")
    (given / "loopback.py").write_bytes((HERE / "loopback.py").read_bytes())
    (folder / "startup.sh").write_bytes((HERE / "startup.sh").read_bytes())
    (folder / LAUNCHER).write_bytes((FOLDER / LAUNCHER).read_bytes())
    client = docker.APIClient(timeout=BOOTS, version="auto")
    root, emulator = Images().ensure_root(client, print), Images().ensure_emulator(client, print)
    docker_run = ["docker", "run", "--rm", "--volume", f"{folder}:/q", "--network", "none"]
    subprocess.run([*docker_run, "--entrypoint", "sh", root, "-c", FILL], check=True, timeout=BOOTS)
    program, *options = LAUNCH.split()
    booted = subprocess.run(
        [*docker_run, "--entrypoint", program, emulator, *options],
        capture_output=True,
        text=True,
        timeout=BOOTS,
    )
    read = [*docker_run, "--entrypoint", "debugfs", emulator, "-R", "cat /said", "/q/root.raw"]
    found = lives_of(subprocess.run(read, capture_output=True, text=True, check=True).stdout)
    for disk in folder.glob("*.raw"):
        disk.unlink()
    parts = (HERE / "startup.sh").read_text().count('echo "=== ')
    assert [len(one) for one in found] == [parts, parts], booted.stdout[-4000:] + booted.stderr
    return found


@pytest.fixture(params=[0, 1], ids=["first", "after a restart"])
def life(lives: list[Life], request: pytest.FixtureRequest) -> Life:
    return lives[request.param]


def test_the_machine_restarts_by_itself(lives: list[Life]) -> None:
    assert lives[0]["life"] != lives[1]["life"]


def test_the_kernel_is_started_with_its_defences(life: Life) -> None:
    line, lockdown, *rest = life["started with"]
    table = yaml.safe_load((REPO / "roles/hardening_kernel/vars/main.yml").read_text())[
        "__hardening_kernel_boot"
    ]
    assert {word for words in table.values() for word in words} - set(line.split()) == set()
    assert "[integrity]" in lockdown
    enabled, profiles = rest  # and nothing was read from the memory
    assert enabled == "Y"
    assert int(profiles) > 0


def test_every_parameter_is_in_force(life: Life) -> None:
    told = dict(line.split(" = ", 1) for line in life["parameters"] if " = " in line)
    wanted = parameters()
    assert len(told) > len(wanted) / 2
    assert {name: found for name, found in told.items() if found.strip() != wanted[name]} == {}


def test_a_closed_module_stays_out_even_for_root_and_another_comes_in(life: Life) -> None:
    assert life["modules that came in"] == []
    assert life["a module that nobody closed"] == ["loaded"]


def test_the_firewall_is_there_before_the_network(life: Life) -> None:
    firewall, network = map(int, life["before the network"])
    assert 0 < firewall < network
    rules = " ".join(life["from outside"])
    assert "policy drop" in rules
    assert set(re.findall(r"dport (\d+)", rules)) == {"22", "546"}


def test_nobody_reaches_on_loopback_what_another_account_listens_on(life: Life) -> None:
    assert life["loopback"] == ["ana reached", "ben ConnectionRefusedError"]
