"""One person's share of the disk, kept by Debian's own kernel, and a file system that grows while it is in use: a
machine that boots for nothing else looks at what the start-up script makes of its data disk. A container cannot show
it, as its disk is its computer's.
"""

from __future__ import annotations

import subprocess
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path

import docker
import pytest

from hangar.cloud.vm.images import Images
from hangar.paths import REPO
from tests.templates.render import render

BOUND = 8 << 20
OURS, FIVE = "/srv/people/home/ana", 5 << 20
FOLDER_ITSELF = 4096
BOOTS = 1800
"""Seconds. Its emulated processor takes one minute on an idle computer."""

FILL = """set -eu
mkdir -p /usr/lib/hangar/trial; cp /q/given/* /usr/lib/hangar/trial/
cp /vmlinuz /initrd.img /q/
tar -C / --one-file-system --exclude=./q --exclude=./.dockerenv -cf - . |
    mke2fs -q -t ext4 -L hangar-root -d - /q/root.raw 3G
truncate -s 1G /q/data.raw
"""
# Time that goes with the instructions: on a busy computer the guest would take itself for stuck.
QEMU = """qemu-system-x86_64 -accel tcg,thread=single -icount shift=1,sleep=off -cpu max -m 1024
    -nodefaults -display none -no-reboot -serial stdio -kernel /q/vmlinuz -initrd /q/initrd.img
    -drive file=/q/root.raw,format=raw,if=none,id=a -device virtio-blk-pci,drive=a
    -drive file=/q/data.raw,format=raw,if=none,id=b,discard=unmap -device virtio-blk-pci,drive=b"""
KERNEL = "root=LABEL=hangar-root ro console=ttyS0 panic=-1 quiet init=/usr/lib/hangar/trial/init.sh"


def disk_part() -> str:
    """What the start-up script does with a data disk, up to the unit that mounts it; then mounts it likewise."""
    text = (REPO / "templates/startup.sh.j2").read_text()
    part = text[text.index("    # New is a disk without") : text.index("    # Wanted and not required")]
    assert '"Options=defaults,discard$counting"' in text
    return f'set -eu\ndevice=$1\n{part}\nmount -t ext4 -o "defaults,discard$counting" "$device" /srv\n'


def grow_part() -> str:
    """What it does where the disk may have grown."""
    text = (REPO / "templates/startup.sh.j2").read_text()
    part = text[text.index("# The disk may have grown") : text.index(": > {{ finished }}")]
    return f"set -eu\ndevice=$1\n{part}"


def contract() -> str:
    """The program that the contract runs on a live machine."""
    path = REPO / "roles/remote_ssh/tests/test_remote_ssh.py"
    loader = SourceFileLoader("contract_of_remote_ssh", str(path))
    module = module_from_spec(spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return str(module.FULL)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What the machine says, by part."""
    folder = tmp_path_factory.mktemp("share")
    given = folder / "given"
    given.mkdir()
    (given / "init.sh").write_text((Path(__file__).parent / "share/init.sh").read_text())
    (given / "init.sh").chmod(0o755)
    homes = render("remote_ssh", "/usr/local/lib/hangar/homes", remote_ssh_home_quota=str(BOUND))
    (given / "homes").write_text(homes)
    (given / "disk.sh").write_text(disk_part())
    (given / "grow.sh").write_text(grow_part())
    (given / "contract.py").write_text(contract())
    client = docker.APIClient(timeout=BOOTS, version="auto")
    run = ["docker", "run", "--rm", "--network", "none", "--volume", f"{folder}:/q", "--entrypoint"]
    root, emulator = Images().ensure_root(client, print), Images().ensure_emulator(client, print)
    subprocess.run([*run, "sh", root, "-c", FILL], check=True, timeout=BOOTS)
    program, *options = QEMU.split()
    booted = subprocess.run(
        [*run, program, emulator, *options, "-append", KERNEL], capture_output=True, text=True, timeout=BOOTS
    )
    (folder / "root.raw").unlink()
    parts = booted.stdout.replace("\r", "").split("=== ")
    assert parts[-1].startswith("the end"), booted.stdout[-3000:] + booted.stderr
    return {part.split("\n")[0]: part.strip().split("\n")[1:] for part in parts[1:]}


def test_a_new_disk_stops_whoever_has_their_share_and_no_administrator(said: dict[str, list[str]]) -> None:
    assert said["a new disk"] == [
        "ana: at most 0.0 GB",
        f"{FIVE + FOLDER_ITSELF} {BOUND} held",
        f"dd: error writing '{OURS}/two': Disk quota exceeded",
        f"{BOUND} {BOUND} held",
    ]


def test_it_is_kept_through_the_hardening_and_over_a_restart(said: dict[str, list[str]]) -> None:
    full = f"{BOUND} {BOUND} held"
    refused = f"dd: error writing '{OURS}/%s': Disk quota exceeded"
    assert [line for line in said["the same again"] if "at most" in line] == []
    assert said["as the hardening mounts it"] == [refused % "three", full]
    assert said["mounted again"] == [refused % "four", full, "sound"]


def test_the_contract_sees_it(said: dict[str, list[str]]) -> None:
    assert said["the contract"] == ["fits written", "too-much Disk quota exceeded"]


def test_where_it_is_not_kept_the_machine_says_so(said: dict[str, list[str]]) -> None:
    assert [line.split()[-1] for line in said["counted but not kept"]] == ["measured"]


def test_a_disk_from_before_learns_it_with_what_is_there(said: dict[str, list[str]]) -> None:
    assert said["a disk from before"][-2:] == [
        f"dd: error writing '{OURS}/one': Disk quota exceeded",
        f"{BOUND} {BOUND} held",
    ]


def test_a_file_system_grows_with_its_disk_while_it_is_in_use(said: dict[str, list[str]]) -> None:
    """`tests/engine/test_growth.py` has the rest, on a disk that nobody uses."""
    before, after, *rest = said["a disk that is larger than its file system"]
    assert int(before) <= 256
    assert 900 < int(after) <= 1024
    assert rest == ["1", "kept", "sound"]


def test_somebody_elses_disk_is_left_as_it_is(said: dict[str, list[str]]) -> None:
    assert said["somebody else's disk"][-1] == "0"
