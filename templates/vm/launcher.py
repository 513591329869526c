"""Runs inside the emulator's container, as its first process: boots the machine's disk with QEMU, again after each
reboot, and shuts it down in order when the container is told to stop. Needs Python's standard library alone.
"""

import argparse
import json
import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

KVM = Path("/dev/kvm")
PROBE_SECONDS = 15
"""A kernel says its name within two where KVM works; where it does not, it never does."""

ALIVE = b"Linux version"
COMMAND_LINE = "root=LABEL=hangar-root ro console=ttyS0 panic=-1"
"""`panic=-1`: a kernel that panics restarts."""

LOADER_SETTINGS = "/etc/default/grub.d"
"""Where Debian keeps what its boot loader tells the kernel. There is no boot loader here: this program reads it."""

ADDED = re.compile(
    r'^GRUB_CMDLINE_LINUX(?:_DEFAULT)?="(?:\$GRUB_CMDLINE_LINUX(?:_DEFAULT)? )?([ -!#%-~]*)"$', re.MULTILINE
)
COMMAND_LINE_BYTES = 2047
"""The kernel of a PC reads no more (COMMAND_LINE_SIZE, with the byte that ends it)."""

SAID, IMAGE = 64 << 10, 256 << 20
"""Bytes of one setting, and of a kernel or its initial RAM disk, that are taken off the machine's disk: who is root in
the machine chooses how much that is, and the memory is this computer's.
"""

ROOM_SECONDS = 30
"""QEMU stops the machine when this computer's disk is full, and never lets it go on by itself."""

EMULATED = "max,erms=off,fsrm=off,la57=off"
"""Strings are copied byte by byte where the emulated processor says that this is its fast way (erms, fsrm): without
it, memory and pipes are 2.3 and 2.7 times as fast. A fifth level of pages (la57) is one more to walk, for nothing.
"""

SANDBOX = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"
FOUND = 3
"""e2fsck answers with at most this when the file system is sound (now): 1 mended, 2 mended and wants a reboot."""


def say(text: str) -> None:
    print(f"hangar: {text}", flush=True)


class Guest:
    """The running QEMU, through its control socket (QMP)."""

    def __init__(self, process: subprocess.Popen[bytes], control: Path) -> None:
        self.process = process
        self.line = socket.socket(socket.AF_UNIX)
        while True:
            try:
                self.line.connect(str(control))
                break
            except OSError:
                if process.poll() is not None:
                    raise SystemExit(f"QEMU ended with status {process.returncode}") from None
                time.sleep(0.02)
        self.tell("qmp_capabilities")

    def tell(self, command: str) -> None:
        self.line.sendall(json.dumps({"execute": command}).encode() + b"\n")

    def end(self) -> str:
        """Returns why it ended, once it has: guest-reset, guest-shutdown, host-signal, … (QMP's ShutdownCause)."""
        reason, is_full = "unknown", False
        with self.line.makefile() as lines:
            for line in lines:
                said = json.loads(line)
                event = said.get("event")
                if event == "SHUTDOWN":
                    reason = said["data"]["reason"]
                elif event == "BLOCK_IO_ERROR" and said["data"]["action"] == "stop":
                    is_full = True
                elif event == "STOP" and is_full:
                    say(
                        "this computer's disk is full: the machine waits until there is room, and then goes on"
                    )
                    is_full = False
                    time.sleep(ROOM_SECONDS)
                    self.tell("cont")
        self.process.wait()
        return reason


def check(disk: Path) -> None:
    """Replays the journal after a power loss, so that the kernel is read as it was written."""
    status = subprocess.run(["e2fsck", "-p", str(disk)], stdout=subprocess.DEVNULL).returncode
    if status > FOUND:
        say(f"{disk.name} has damage that the machine must mend itself (e2fsck: status {status})")


def grow(disk: Path, gib: int) -> None:
    """The system disk and its file system; the data disk's is grown by the machine, which may not have made it."""
    begun = disk.with_name(f"{disk.name}.growing")
    if disk.stat().st_size < gib << 30:
        begun.touch()
        os.truncate(disk, gib << 30)
    # Whoever was killed here before had a larger disk, and no larger file system.
    if begun.exists():
        subprocess.run(["e2fsck", "-f", "-p", str(disk)], stdout=subprocess.DEVNULL)
        subprocess.run(["resize2fs", str(disk)], check=True, stdout=subprocess.DEVNULL)
        begun.unlink()


def make_room(disk: Path, gib: int) -> None:
    """The data disk, made or grown: a sparse file, which takes room as it fills."""
    if not disk.exists() or disk.stat().st_size < gib << 30:
        with disk.open("ab") as file:
            file.truncate(gib << 30)


class TooMuch(SystemExit):
    """The machine's disk says more than is taken in."""


def debugfs(disk: Path, request: str) -> str:
    """What e2fsprogs reads from a disk that is mounted nowhere; nothing where there is no such thing. A file that it
    writes ends at `IMAGE`.

    Raises:
        TooMuch: it says more than `SAID`.
    """
    argv = ["debugfs", "-R", request, str(disk)]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (IMAGE, IMAGE)),
    ) as reader:  # fmt: skip
        assert reader.stdout
        said = reader.stdout.read(SAID + 1)
        if len(said) > SAID:
            reader.kill()
            raise TooMuch(f"{disk.name} says more than {SAID >> 10} KiB to: {request}")
    return said.decode(errors="replace")


def read_off(disk: Path, name: str, target: Path) -> None:
    """Copies what the link /`name` on the disk leads to: an upgrade in the machine turns these links."""
    link = re.search(r'link dest: "(.+)"', debugfs(disk, f"stat /{name}"))
    source = link[1].lstrip("/") if link else name
    target.unlink(missing_ok=True)
    debugfs(disk, f"dump /{source} {target}")
    if not target.exists() or not target.stat().st_size:
        raise SystemExit(f"{disk.name} has no /{source} to boot")
    if target.stat().st_size >= IMAGE:
        target.unlink()
        raise SystemExit(f"{disk.name}: /{source} is larger than {IMAGE >> 20} MiB, and is not booted")


def kernel_options(disk: Path) -> str:
    """What the kernel is started with: how it finds its disk, then what the machine's own settings add."""
    line = COMMAND_LINE
    try:
        told = debugfs(disk, f"ls -p {LOADER_SETTINGS}")
        for name in sorted(re.findall(r"/([\w.-]+\.cfg)/\d+/$", told, re.MULTILINE)):
            added = ADDED.findall(debugfs(disk, f"cat {LOADER_SETTINGS}/{name}"))
            line = " ".join(" ".join([line, *added]).split())
            if len(line) > COMMAND_LINE_BYTES:
                raise TooMuch
    except TooMuch:
        say(
            f"{disk.name}: its options for the kernel are longer than {COMMAND_LINE_BYTES} bytes and are left out"
        )
        return COMMAND_LINE
    return line


def kvm_works(kernel: Path) -> bool:
    """Boots the kernel for a moment: the device alone says little, as in a virtual machine that only half offers it. It
    is the machine's own kernel, so it is locked in as the machine is.
    """
    if not os.access(KVM, os.R_OK | os.W_OK):
        return False
    argv = ["qemu-system-x86_64", "-accel", "kvm", "-cpu", "host", "-m", "256", "-nodefaults", "-no-user-config",
            "-display", "none", "-no-reboot", "-sandbox", SANDBOX, "-kernel", str(kernel),
            "-append", "console=ttyS0 panic=-1", "-serial", "stdio"]  # fmt: skip
    try:
        seen = subprocess.run(argv, capture_output=True, timeout=PROBE_SECONDS).stdout
    except subprocess.TimeoutExpired as late:
        seen = late.stdout or b""
    return ALIVE in seen


def command(args: argparse.Namespace, run: Path, options: str, *, kvm: bool) -> list[str]:
    """QEMU's call; `options` are the kernel's. Only port 2222 of the container leads in; the way out is the
    container's own.
    """
    accelerator = (
        ["-accel", "kvm", "-cpu", "host"] if kvm else ["-accel", "tcg,thread=multi", "-cpu", EMULATED]
    )
    disks = [
        word
        for name, disk in (("hangar-root", args.disk), ("hangar-srv", args.data))
        for word in (
            "-drive", f"if=none,id={name},file={disk},format=raw,discard=unmap,detect-zeroes=unmap",
            "-device", f"virtio-blk-pci,drive={name},serial={name}",
        )
    ]  # fmt: skip
    return [
        "qemu-system-x86_64", "-name", args.name, "-machine", "q35", *accelerator,
        "-smp", str(args.cpus), "-m", str(args.memory_mib),
        "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-sandbox", SANDBOX,
        "-kernel", f"{run}/vmlinuz", "-initrd", f"{run}/initrd", "-append", options,
        *disks,
        "-netdev", "user,id=net,hostfwd=tcp::2222-:22", "-device", "virtio-net-pci,netdev=net",
        "-object", "rng-random,id=random,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=random",
        "-chardev", f"file,id=machine,path={run}/announced", "-device", "virtio-serial-pci",
        "-device", "virtserialport,chardev=machine,name=hangar.machine",
        "-fw_cfg", f"name=opt/org.hangar/startup,file={args.startup}",
        "-qmp", f"unix:{run}/control,server=on,wait=off", "-serial", "stdio",
    ]  # fmt: skip


def boot(args: argparse.Namespace, run: Path) -> str:
    """One life of the machine, from power on to its end; returns why it ended."""
    check(args.disk)
    grow(args.disk, args.disk_gib)
    make_room(args.data, args.data_gib)
    for name, target in (("vmlinuz", "vmlinuz"), ("initrd.img", "initrd")):
        read_off(args.disk, name, run / target)
    options = kernel_options(args.disk)
    kvm = kvm_works(run / "vmlinuz")
    (run / "accelerator").write_text("kvm" if kvm else "emulation")
    say("KVM works" if kvm else "KVM does not work here: the processor is emulated, several times slower")
    for name in ("announced", "control"):
        (run / name).unlink(missing_ok=True)
    told = False
    guest: Guest | None = None

    def power_down(number: int, frame: FrameType | None) -> None:
        nonlocal told
        told = True
        if guest is not None:
            say("shut the machine down")
            guest.tell("system_powerdown")

    # Before QEMU starts: from then on nothing may end this program but the machine's own end.
    signal.signal(signal.SIGTERM, power_down)
    guest = Guest(
        subprocess.Popen(command(args, run, options, kvm=kvm), stdin=subprocess.DEVNULL), run / "control"
    )
    if told:
        power_down(signal.SIGTERM, None)
    return guest.end()


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("name", "startup"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("disk", "data", "run"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    for name in ("cpus", "memory-mib", "disk-gib", "data-gib"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args(argv)
    # Told to stop before there is a machine: nothing is lost.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    while (reason := boot(args, args.run)) == "guest-reset":
        say("the machine reboots")
    say(f"the machine is off ({reason})")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
