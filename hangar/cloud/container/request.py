"""What the engine is asked for, built without asking it: functions from a MachineSpec to API arguments."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from hangar.cloud.base import MachineSpec
from hangar.cloud.local.ownership import RECIPE, SPEC, ownership, volume_name
from hangar.ports import LOOPBACK

SSH = "22/tcp"
INIT = "/usr/lib/hangar/init"
STARTUP = "/usr/lib/hangar/startup"
APPARMOR_PROFILE = Path("/etc/apparmor.d/hangar-machine")
"""See templates/apparmor."""

PERIOD = 100_000
"""Microseconds in which a CPU quota is spent."""

STOP_TIMEOUT = 60
"""Seconds that services get to end (databases on /srv) before the machine is killed."""

CAPABILITIES = (
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "IPC_LOCK", "IPC_OWNER",
    "KILL", "LEASE", "LINUX_IMMUTABLE", "MKNOD", "NET_ADMIN", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_RAW",
    "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_ADMIN", "SYS_CHROOT", "SYS_NICE", "SYS_PTRACE",
    "SYS_TTY_CONFIG",
)  # fmt: skip
"""What systemd and nested rootless containers need. Missing on purpose: whatever reaches the computer itself,
such as SYS_MODULE, SYS_RAWIO, SYS_BOOT, SYS_TIME (the clock), SYSLOG (the kernel's log), BPF, MAC_ADMIN."""


def security_options(info: dict[str, Any]) -> list[str]:
    """What systemd and nested containers need beyond the engine's profiles: more system calls, more mounts."""
    has = " ".join(info.get("SecurityOptions") or ())
    options = ["seccomp=unconfined"]
    if "name=apparmor" in has:
        # Ubuntu's kernel refuses user namespaces to unconfined processes; this profile admits them (see doctor).
        options.append(f"apparmor={APPARMOR_PROFILE.name if APPARMOR_PROFILE.exists() else 'unconfined'}")
    if "name=selinux" in has:
        options.append("label=disable")
    return options


def labels(spec: MachineSpec, recipe: str) -> dict[str, str]:
    return {
        **ownership(spec.environment),
        SPEC: json.dumps(asdict(spec), sort_keys=True),
        RECIPE: recipe,
    }


def spec_of(found: dict[str, Any], cpus: int, memory: int) -> MachineSpec | None:
    """The spec that a container was made with, with the limits and the port that it has now.

    `cpus` and `memory` (bytes) are what the engine's computer has: a limit as large as that is none.
    """
    text = (found["Config"].get("Labels") or {}).get(SPEC)
    if not text:
        return None
    host = found["HostConfig"]
    quota, limit = host.get("CpuQuota") or 0, host.get("Memory") or 0
    bound = ((host.get("PortBindings") or {}).get(SSH) or [{}])[0].get("HostPort")
    return replace(
        MachineSpec(**json.loads(text)),
        cpus=quota / PERIOD if 0 < quota < cpus * PERIOD else None,
        memory_bytes=limit if 0 < limit < memory else None,
        ssh_port=int(bound) if bound else None,
    )


def limits(spec: MachineSpec, cpus: int, memory: int) -> dict[str, int]:
    """The limits that mean the same for a new container and for one that runs (where 0 would mean: as before)."""
    bytes_ = min(spec.memory_bytes or memory, memory)
    return {
        "cpu_period": PERIOD,
        "cpu_quota": int(min(spec.cpus or cpus, cpus) * PERIOD),
        "mem_limit": bytes_,
        "memswap_limit": bytes_,
    }


def host_config(
    spec: MachineSpec, port: int, engine_limits: dict[str, int], security: list[str]
) -> dict[str, Any]:
    """Arguments for the SDK's `create_host_config`. The engine's usual covers over /proc and /sys stay: see
    templates/base_image/root/usr/lib/hangar/init.
    """
    return {
        "network_mode": spec.name,
        "port_bindings": {SSH: (LOOPBACK, port)},
        "binds": {volume_name(spec.name): {"bind": "/srv", "mode": "rw"}},
        "tmpfs": {"/run": "mode=755", "/tmp": "exec,mode=1777"},
        "devices": ["/dev/fuse", "/dev/net/tun"],
        "cap_drop": ["ALL"],
        "cap_add": list(CAPABILITIES),
        "security_opt": security,
        "cgroupns": "private",
        "userns_mode": "host",
        "restart_policy": {"Name": "unless-stopped"},
        "log_config": {"Type": "json-file", "Config": {"max-size": "5m", "max-file": "2"}},
        **engine_limits,
    }


def container(spec: MachineSpec, image: str, recipe: str) -> dict[str, Any]:
    """Arguments for the SDK's `create_container`, but for the host configuration."""
    return {
        "image": image,
        "name": spec.name,
        "hostname": spec.name,
        "command": [INIT],
        "environment": {"container": "docker"},
        "ports": [(22, "tcp")],
        "labels": labels(spec, recipe),
        "tty": True,  # systemd's boot messages land in the container's log
        "stop_signal": "SIGRTMIN+3",
        "stop_timeout": STOP_TIMEOUT,
        "use_config_proxy": False,
    }
