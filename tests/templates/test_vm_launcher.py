"""The program that boots the machine: its disks with e2fsprogs, its life against a QEMU that is a script."""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hangar.paths import REPO
from tests.templates.render import render

spec = importlib.util.spec_from_file_location("launcher", REPO / "templates/vm/launcher.py")
assert spec is not None
assert spec.loader is not None
launcher = importlib.util.module_from_spec(spec)
spec.loader.exec_module(launcher)

needs_e2fsprogs = pytest.mark.skipif(not shutil.which("debugfs"), reason="needs e2fsprogs")

FAKE = """#!{python}
# Stands in for QEMU: notes its arguments, speaks QMP, ends as the file `ends` says.
import json, os, socket, sys
folder = {folder!r}
with open(folder + "/calls", "a") as calls:
    calls.write(json.dumps(sys.argv[1:]) + "\\n")
if "kvm" in sys.argv:
    print(open(folder + "/probe").read()); sys.exit(0)
control = next(word for word in sys.argv if word.startswith("unix:"))[5:].split(",")[0]
server = socket.socket(socket.AF_UNIX); server.bind(control); server.listen()
line, _ = server.accept()
line.recv(4096)
ends = open(folder + "/ends").read().split()
reason, rest = ends[0], ends[1:]
open(folder + "/ends", "w").write(" ".join(rest))
if reason == "guest-shutdown-when-told":
    os.kill(os.getppid(), 15)
    assert b"system_powerdown" in line.recv(4096)
    reason = "guest-shutdown"
line.sendall(json.dumps({{"event": "SHUTDOWN", "data": {{"reason": reason}}}}).encode() + b"\\n")
"""


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    root, disk = tmp_path / "root", tmp_path / "root.raw"
    (root / "boot").mkdir(parents=True)
    (root / "boot" / "vmlinuz-9").write_text("kernel 9")
    (root / "boot" / "initrd-9").write_text("initrd 9")
    (root / "vmlinuz").symlink_to("boot/vmlinuz-9")
    (root / "initrd.img").symlink_to("boot/initrd-9")
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", root, disk, "16M"], check=True)
    return disk


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    run, programs = tmp_path / "run", tmp_path / "bin"
    run.mkdir()
    programs.mkdir()
    fake = programs / "qemu-system-x86_64"
    fake.write_text(FAKE.format(python=sys.executable, folder=str(run)))
    fake.chmod(0o755)
    (run / "probe").write_text("")
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}:/usr/sbin:/sbin")
    return run


def arguments(disk: Path, run: Path) -> list[str]:
    return ["--name", "hangar-local", "--disk", str(disk), "--data", str(run / "srv.raw"), "--run", str(run),
            "--startup", str(run / "startup"), "--cpus", "2", "--memory-mib", "4096", "--disk-gib", "0",
            "--data-gib", "1"]  # fmt: skip


def calls(run: Path) -> list[list[str]]:
    return [json.loads(line) for line in (run / "calls").read_text().splitlines()]


@needs_e2fsprogs
def test_the_machines_own_kernel_is_read_off_its_disk(disk: Path, tmp_path: Path) -> None:
    launcher.read_off(disk, "vmlinuz", tmp_path / "vmlinuz")
    assert (tmp_path / "vmlinuz").read_text() == "kernel 9"
    with pytest.raises(SystemExit, match="has no /gone to boot"):
        launcher.read_off(disk, "gone", tmp_path / "gone")


def disk_with(folder: Path, files: dict[str, str]) -> Path:
    """A disk with these settings of its boot loader."""
    settings, disk = folder / "loader/etc/default/grub.d", folder / "loader.raw"
    settings.mkdir(parents=True)
    for name, text in files.items():
        (settings / name).write_text(text)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", folder / "loader", disk, "16M"], check=True)
    return disk


@needs_e2fsprogs
def test_the_kernel_is_started_with_what_the_machine_says(tmp_path: Path) -> None:
    """The settings of Debian's boot loader count, in their order; where there are none, nothing is added."""
    disk = disk_with(
        tmp_path,
        {
            "50-b.cfg": '# ours\nGRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX slab_nomerge audit=1"\n',
            "10-a.cfg": 'GRUB_CMDLINE_LINUX_DEFAULT="quiet"\nGRUB_TIMEOUT="5"\n',
            "99-off.cfg.disabled": 'GRUB_CMDLINE_LINUX="init=/bin/sh"\n',
        },
    )
    assert launcher.kernel_options(disk) == f"{launcher.COMMAND_LINE} quiet slab_nomerge audit=1"


@needs_e2fsprogs
def test_without_settings_the_kernel_is_told_where_its_disk_is(disk: Path) -> None:
    assert launcher.kernel_options(disk) == launcher.COMMAND_LINE


@needs_e2fsprogs
def test_more_options_than_the_kernel_reads_are_left_out(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """Cut off in the middle, an option could mean another one."""
    disk = disk_with(tmp_path, {"long.cfg": f'GRUB_CMDLINE_LINUX="{"x" * 2048}"\n'})
    assert launcher.kernel_options(disk) == launcher.COMMAND_LINE
    assert "its options for the kernel are longer than 2047 bytes and are left out" in capfd.readouterr().out


@needs_e2fsprogs
@pytest.mark.parametrize(
    ("names", "size"),
    [(["large.cfg"], 512 << 20), ([f"{number}-{'x' * 100}.cfg" for number in range(600)], 0)],
)
def test_a_machine_whose_settings_have_no_end_takes_none_of_this_computers_memory(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], names: list[str], size: int
) -> None:
    """Who is root in the machine writes them: a file of holes, or more files than anybody has."""
    disk = disk_with(tmp_path, dict.fromkeys(names, 'GRUB_CMDLINE_LINUX="quiet"\n'))
    for name in names if size else ():
        path = tmp_path / "loader/etc/default/grub.d" / name
        os.truncate(path, size)
        disk.unlink()
        argv = ["mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "loader", disk, "16M"]
        subprocess.run(argv, check=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert launcher.kernel_options(disk) == launcher.COMMAND_LINE
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10, "KiB"
    assert "its options for the kernel are longer than 2047 bytes and are left out" in capfd.readouterr().out


@needs_e2fsprogs
def test_a_kernel_that_is_larger_than_any_is_not_taken_off_the_disk(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "IMAGE", 8)
    with pytest.raises(SystemExit, match="/boot/vmlinuz-9 is larger than 0 MiB, and is not booted"):
        launcher.read_off(disk, "vmlinuz", tmp_path / "vmlinuz")
    assert not (tmp_path / "vmlinuz").exists()
    monkeypatch.setattr(launcher, "IMAGE", 9)
    launcher.read_off(disk, "vmlinuz", tmp_path / "vmlinuz")


@needs_e2fsprogs
def test_the_role_writes_what_the_boot_reads(tmp_path: Path) -> None:
    text = render("hardening_kernel", "/etc/default/grub.d/50-hangar-hardening.cfg")
    options = launcher.kernel_options(disk_with(tmp_path, {"50-hangar-hardening.cfg": text}))
    assert {"slab_nomerge", "lockdown=integrity", "audit=1", "apparmor=1"} <= set(options.split())


def blocks(disk: Path) -> int:
    """Of the file system, 1 KiB each."""
    told = subprocess.run(["dumpe2fs", "-h", disk], capture_output=True, text=True, check=True).stdout
    values = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
    return int(values["Block count"]) * int(values["Block size"]) // 1024


@needs_e2fsprogs
@pytest.mark.parametrize("killed", ["truncate", "resize2fs"])
def test_a_growth_that_was_killed_is_finished_at_the_next_start(
    disk: Path, run: Path, monkeypatch: pytest.MonkeyPatch, killed: str
) -> None:
    """Before the disk was larger, or after that and before its file system was."""
    before = blocks(disk)

    def die(*given: object, **named: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "truncate", die) if killed == "truncate" else (subprocess, "run", die)))
        with pytest.raises(KeyboardInterrupt):
            launcher.grow(disk, 1)
    assert blocks(disk) == before
    for _ in range(2):
        launcher.grow(disk, 1)
        assert (blocks(disk), disk.stat().st_size) == (2**20, 2**30)
    assert [path.name for path in disk.parent.iterdir() if "growing" in path.name] == []


@needs_e2fsprogs
def test_a_reboot_boots_again_and_the_end_is_the_end(
    disk: Path, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (run / "ends").write_text("guest-reset guest-shutdown")
    assert launcher.main(arguments(disk, run)) == 0
    said = capfd.readouterr().out
    assert "hangar: the machine reboots" in said
    assert said.rstrip().endswith("hangar: the machine is off (guest-shutdown)")
    assert (run / "srv.raw").stat().st_size == 2**30


@needs_e2fsprogs
def test_told_to_stop_it_shuts_the_machine_down_in_order(
    disk: Path, run: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (run / "ends").write_text("guest-shutdown-when-told")
    before = signal.getsignal(signal.SIGTERM)
    try:
        assert launcher.main(arguments(disk, run)) == 0
    finally:
        signal.signal(signal.SIGTERM, before)
    assert "hangar: shut the machine down" in capfd.readouterr().out


@needs_e2fsprogs
@pytest.mark.parametrize(
    ("probe", "accelerator", "written"),
    [("[0.0] Linux version 6.12", "kvm", "kvm"), ("KVM internal error", "tcg,thread=multi", "emulation")],
)
def test_kvm_is_used_where_a_kernel_boots_under_it(
    disk: Path, run: Path, monkeypatch: pytest.MonkeyPatch, probe: str, accelerator: str, written: str
) -> None:
    device = run / "kvm"
    device.touch()
    monkeypatch.setattr(launcher, "KVM", device)
    (run / "probe").write_text(probe)
    (run / "ends").write_text("guest-shutdown")
    if accelerator == "kvm":
        # The stand-in prints and ends whenever it is given KVM: the probe alone is what this looks at.
        assert launcher.kvm_works(run / "none")
        words = calls(run)[-1]
        assert words[words.index("-sandbox") + 1] == launcher.SANDBOX
        assert {"-nodefaults", "-no-user-config"} <= set(words)
    else:
        launcher.main(arguments(disk, run))
        assert (run / "accelerator").read_text() == written
        assert accelerator in calls(run)[-1]


def test_without_the_device_nothing_is_tried(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher, "KVM", run / "nothing")
    assert not launcher.kvm_works(run / "none")
    assert not (run / "calls").exists()


class Ended:
    """A QEMU that has ended when its control socket has."""

    def wait(self) -> int:
        return 0


def test_a_machine_that_found_no_room_goes_on_when_there_is_some(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """QEMU has stopped it at a write that this computer's disk had no room for: it would stand still for good."""
    waited: list[float] = []
    monkeypatch.setattr(launcher.time, "sleep", waited.append)
    ours, qemus = socket.socketpair()
    guest = launcher.Guest.__new__(launcher.Guest)
    guest.process, guest.line = Ended(), ours
    full = {"event": "BLOCK_IO_ERROR", "data": {"action": "stop", "nospace": True, "operation": "write"}}
    told = {"event": "BLOCK_IO_ERROR", "data": {"action": "report", "nospace": False, "operation": "read"}}
    events = [{"event": "STOP"}, told, full, full, {"event": "STOP"}, {"return": {}}, {"event": "RESUME"},
              {"event": "SHUTDOWN", "data": {"reason": "guest-shutdown"}}]  # fmt: skip
    with qemus:
        qemus.sendall("".join(f"{json.dumps(event)}\n" for event in events).encode())
        qemus.shutdown(socket.SHUT_WR)
        assert guest.end() == "guest-shutdown"
        ours.close()
        assert qemus.recv(4096) == b'{"execute": "cont"}\n'
        assert qemus.recv(4096) == b"", "once"
    assert waited == [launcher.ROOM_SECONDS]
    assert capfd.readouterr().out == (
        "hangar: this computer's disk is full: the machine waits until there is room, and then goes on\n"
    )


def test_one_port_leads_in_and_the_emulator_is_locked_in() -> None:
    args = argparse.Namespace(
        name="hangar-local", cpus=2, memory_mib=4096, disk="/d", data="/s", startup="/machine/startup"
    )
    words = launcher.command(args, Path("/run/hangar"), "root=LABEL=x quiet", kvm=True)
    assert [word for word in words if "hostfwd" in word] == ["user,id=net,hostfwd=tcp::2222-:22"]
    assert words[words.index("-sandbox") + 1] == launcher.SANDBOX
    assert words[words.index("-accel") + 1] == "kvm"
    assert "name=opt/org.hangar/startup,file=/machine/startup" in words
