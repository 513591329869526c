"""What the engine is asked for, built without asking it: functions from a MachineSpec to API arguments."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hangar.cloud.base import MachineSpec
from hangar.cloud.local.ownership import RECIPE, SPEC, ownership, volume_name
from hangar.config.vm import Vm
from hangar.ports import LOOPBACK

DISKS = "hangar.disks"
"""Label: the sizes of the disks, as JSON."""

GUEST_SSH = "2222/tcp"
MACHINE, DATA, RUN = "/machine", "/data", "/run/hangar"
"""In the emulator's container: the system disk's volume, the data's volume, what lasts as long as it runs."""

KVM = Path("/dev/kvm")

LAUNCHER, STARTUP = "launcher.py", "startup"
DATA_DEVICE = "/dev/disk/by-id/virtio-hangar-srv"
EMULATOR_UID = 64055
"""Debian's own number for the account that runs virtual machines (libvirt-qemu). It exists in no image."""

STOP_TIMEOUT = 600
"""Seconds that the machine gets to shut down: containers get two minutes and then the databases five, and an emulated
processor needs them. What is over sooner ends sooner.
"""

TOLD = 65536
"""Bytes of what the machine tells of itself that are read: root in there chooses how much it is."""

RUN_SIZE = "768m"
"""Kernel, initial RAM disk and what the machine tells, all of it in this computer's memory."""

GIB = 2**30
MEMORY_LEAST, MEMORY_USUAL = 4 * GIB, 8 * GIB

FILL = """
set -eu
test -e {disk} || {{
    mkdir -p /usr/lib/hangar/first/etc
    cd /usr/lib/hangar/first
    echo {name} > etc/hostname
    printf '127.0.0.1 localhost\\n127.0.1.1 %s\\n::1 localhost\\n' {name} > etc/hosts
    ln -s ../run/systemd/resolve/stub-resolv.conf etc/resolv.conf
    rm -f {machine}/*
    tar -C / --one-file-system --exclude=.{machine} --exclude=.{data} --exclude=./.dockerenv \\
        --exclude=./usr/lib/hangar/first --exclude=./etc/hostname --exclude=./etc/hosts --exclude=./etc/resolv.conf \\
        -cf - . -C /usr/lib/hangar/first etc/hostname etc/hosts etc/resolv.conf |
        mke2fs -q -t ext4 -L hangar-root -d - {machine}/new {size}G
    mv {machine}/new {disk}
}}
chown -R {uid}:{uid} {machine} {data}
"""
"""Fills the system disk with the very root that this runs in. The disk appears whole or not at all."""


def disk(recipe: str) -> str:
    """The system disk's file: of another recipe, another disk."""
    return f"{MACHINE}/root-{recipe}.raw"


def disk_volume(name: str) -> str:
    return f"{name}-disk"


def builder_name(name: str) -> str:
    return f"{name}-builder"


def memory_bytes(spec: MachineSpec, computer: int) -> int:
    """What the machine gets where nobody says it: half of the computer's, within bounds. `computer` is in bytes."""
    return spec.memory_bytes or max(MEMORY_LEAST, min(MEMORY_USUAL, computer // 2))


def volumes(name: str) -> dict[str, Mapping[str, str]]:
    return {
        disk_volume(name): {"bind": MACHINE, "mode": "rw"},
        volume_name(name): {"bind": DATA, "mode": "rw"},
    }


def builder(spec: MachineSpec, image: str, recipe: str, sizes: Vm) -> dict[str, Any]:
    """Arguments for the SDK's `create_container`, but for the host configuration: fills the disk and ends."""
    script = FILL.format(
        name=shlex.quote(spec.name), disk=disk(recipe), machine=MACHINE, data=DATA, size=sizes.boot_disk_gb,
        uid=EMULATOR_UID,
    )  # fmt: skip
    return {
        "image": image,
        "name": builder_name(spec.name),
        "command": ["sh", "-c", script],
        "labels": ownership(spec.environment),
        "use_config_proxy": False,
    }


def container(
    spec: MachineSpec, image: str, recipe: str, sizes: Vm, cpus: int, memory: int
) -> dict[str, Any]:
    """Arguments for the SDK's `create_container`, but for the host configuration. `cpus` and `memory` (bytes) are
    the computer's.
    """
    arguments = {
        "name": spec.name, "startup": f"{MACHINE}/{STARTUP}", "disk": disk(recipe), "data": f"{DATA}/srv.raw",
        "run": RUN, "cpus": int(spec.cpus or cpus), "memory-mib": memory_bytes(spec, memory) >> 20,
        "disk-gib": sizes.boot_disk_gb, "data-gib": sizes.data_disk_gb,
    }  # fmt: skip
    options = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    return {
        "image": image,
        "name": spec.name,
        "hostname": spec.name,
        "command": ["python3", f"{MACHINE}/{LAUNCHER}", *options],
        "user": f"{EMULATOR_UID}:{EMULATOR_UID}",
        "ports": [(2222, "tcp")],
        "labels": {
            **ownership(spec.environment),
            SPEC: json.dumps(asdict(spec), sort_keys=True),
            RECIPE: recipe,
            DISKS: sizes.model_dump_json(),
        },
        "stop_timeout": STOP_TIMEOUT,
        "use_config_proxy": False,
    }


def host_config(spec: MachineSpec, port: int, kvm_group: int | None) -> dict[str, Any]:
    """Arguments for the SDK's `create_host_config`: a container that may do nothing but run one program on its own
    files. `kvm_group` owns /dev/kvm, where that is.
    """
    kvm: dict[str, Any] = (
        {} if kvm_group is None else {"devices": ["/dev/kvm"], "group_add": [str(kvm_group)]}
    )
    return {
        "network_mode": spec.name,
        "port_bindings": {GUEST_SSH: (LOOPBACK, port)},
        "binds": volumes(spec.name),
        "tmpfs": {
            RUN: f"mode=700,uid={EMULATOR_UID},gid={EMULATOR_UID},size={RUN_SIZE}",
            "/tmp": "",
            "/var/tmp": "",
        },
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "init": False,
        "restart_policy": {"Name": "unless-stopped"},
        "log_config": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
        **kvm,
    }
