"""A data disk that grows, on a block device: what the start-up script leaves on a machine, what a login asks of it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from hangar import arrival
from hangar.cloud import startup
from hangar.cloud.base import MachineSpec

MIB = 2**20
SMALL, LARGE = 64 * MIB, 128 * MIB
SPEC = MachineSpec("production", "hangar-production", None, None, None, "hangar", "ssh-ed25519 AAAA operator")
AS_ROOT = () if os.geteuid() == 0 else ("sudo", "-n")
SYS_RESOURCE = 24
"""The capability that the kernel asks of whoever grows what is mounted (capabilities(7))."""


def run(*argv: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    path = f"{os.environ['PATH']}:/usr/sbin:/sbin"
    return subprocess.run(
        [*AS_ROOT, "env", f"PATH={path}", "LC_ALL=C", *argv], capture_output=True, text=True, check=check
    )


def is_root() -> bool:
    return not AS_ROOT or subprocess.run([*AS_ROOT, "true"], capture_output=True).returncode == 0


def may_grow_what_is_mounted() -> bool:
    (held,) = re.findall(r"^CapEff:\s*(\w+)", run("cat", "/proc/self/status").stdout, re.MULTILINE)
    return bool(int(held, 16) >> SYS_RESOURCE & 1)


def has_loop_devices() -> bool:
    return is_root() and run("losetup", "--find", check=False).returncode == 0


pytestmark = pytest.mark.skipif(not has_loop_devices(), reason="needs root, and a loop device that is free")


@dataclass
class Disk:
    """A disk that is a file, with the file system that a data disk gets, and what a machine has for it."""

    file: Path
    device: str
    tools: Path

    def enlarge(self) -> None:
        """As Google does, under a machine that runs."""
        os.truncate(self.file, LARGE)
        run("losetup", "--set-capacity", self.device)

    @property
    def size(self) -> int:
        """Bytes of its file system."""
        said = run("dumpe2fs", "-h", self.device).stdout
        count, block = (
            int(re.findall(rf"^{name}:\s+(\d+)$", said, re.M)[0]) for name in ("Block count", "Block size")
        )
        return count * block

    def grow(self) -> subprocess.CompletedProcess[str]:
        return run(str(self.tools / "hangar-grow"), check=False)

    def ask(self) -> subprocess.CompletedProcess[str]:
        """What a login asks, here."""
        asked = arrival.READY.replace(arrival.GROW, f"{self.tools}/hangar-grow").replace("sudo -n ", "")
        return run("sh", "-c", asked.replace("/run/", f"{self.tools}/"), check=False)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    file, tools = tmp_path / "disk", tmp_path / "tools"
    tools.mkdir()
    file.touch()
    os.truncate(file, SMALL)
    device = run("losetup", "--find", "--show", str(file)).stdout.strip()
    try:
        run("mkfs.ext4", "-q", "-m", "0", "-L", "hangar-srv", device)
        begin(device, tools)
        yield Disk(file, device, tools)
    finally:
        run("losetup", "--detach", device)


def begin(device: str, tools: Path) -> subprocess.CompletedProcess[str]:
    """The end of the start-up script, which runs when /srv is mounted; its files go into `tools`."""
    script = startup.render(SPEC, device)
    part = script[script.index("# The disk may have grown") :]
    part = part.replace("/usr/local/sbin/", f"{tools}/").replace("/run/", f"{tools}/")
    return run("sh", "-eu", "-c", f"device='{device}'\n{part}")


@pytest.fixture
def mounted(disk: Disk, tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "srv"
    place.mkdir()
    run("mount", disk.device, str(place))
    run("sh", "-c", f"echo kept > {place}/data")
    try:
        yield place
    finally:
        run("umount", str(place), check=False)


def test_it_grows_with_its_disk_and_then_there_is_nothing_to_do(disk: Disk) -> None:
    assert disk.size == SMALL
    assert "Nothing to do!" in disk.grow().stderr
    disk.enlarge()
    assert disk.size == SMALL
    assert disk.ask().returncode == 0
    assert disk.size == LARGE
    again = disk.grow()
    assert again.returncode == 0
    assert "Nothing to do!" in again.stderr
    assert disk.size == LARGE


def test_one_that_grew_while_the_machine_was_off_grows_at_its_start(disk: Disk) -> None:
    disk.enlarge()
    begin(disk.device, disk.tools)
    assert disk.size == LARGE


@pytest.mark.skipif(
    not (is_root() and may_grow_what_is_mounted()), reason="the kernel asks for CAP_SYS_RESOURCE"
)
def test_it_grows_while_it_is_in_use(disk: Disk, mounted: Path) -> None:
    disk.enlarge()
    assert disk.ask().returncode == 0
    assert disk.size == LARGE
    assert os.statvfs(mounted).f_blocks * os.statvfs(mounted).f_frsize > SMALL
    assert run("cat", f"{mounted}/data").stdout == "kept\n"


def test_one_that_is_not_mounted_though_it_was_in_use_stays_as_it_is_and_says_why(
    disk: Disk, mounted: Path
) -> None:
    run("umount", str(mounted))
    run(
        "tune2fs", "-T", "20200101", disk.device
    )  # it was last checked before it was in use, and not just now
    disk.enlarge()
    refused = disk.ask()
    assert refused.returncode == arrival.NOT_GROWN
    assert f"Please run 'e2fsck -f {disk.device}' first." in refused.stderr
    assert disk.size == SMALL
    # A start goes on all the same: whoever logs in is told.
    begin(disk.device, disk.tools)
    assert disk.ask().returncode == arrival.NOT_GROWN
    run("mount", disk.device, str(mounted))
    assert run("cat", f"{mounted}/data").stdout == "kept\n"


def test_before_the_start_up_script_is_through_nothing_is_grown(disk: Disk) -> None:
    (disk.tools / Path(startup.FINISHED).name).unlink()
    disk.enlarge()
    assert disk.ask().returncode == 1
    assert disk.size == SMALL


def test_where_there_is_no_such_device_nothing_is_asked_of_it(disk: Disk) -> None:
    begin(f"{disk.device}-gone", disk.tools)
    done = disk.ask()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
