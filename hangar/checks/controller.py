"""What Hangar itself needs on this computer."""

import os
import platform
import shutil
import sys

from hangar.checks.finding import Finding, needs_packages, ok

PYTHON = (3, 11)


def python() -> Finding:
    version = platform.python_version()
    if sys.version_info >= PYTHON:
        return ok("Python", version)
    wanted = ".".join(map(str, PYTHON))
    return Finding(
        "Python", "missing", f"{version} is too old; {wanted} or newer is needed", f"Install Python {wanted}."
    )


def ssh_client() -> Finding:
    missing = [name for name in ("ssh", "ssh-keygen") if not shutil.which(name)]
    if missing:
        return needs_packages("SSH client", f"{' and '.join(missing)}: not found", "openssh-client")
    return ok("SSH client", shutil.which("ssh") or "")


def architecture() -> Finding:
    """The virtual machine's: it is what QEMU is called with."""
    kind = platform.machine()
    if kind in ("x86_64", "AMD64"):
        return ok("Architecture", kind)
    return Finding(
        "Architecture", "missing", f"{kind}: a virtual machine needs 64-bit Intel or AMD",
        "Use a container instead: cloud: container in platform.yml",
    )  # fmt: skip


def processors() -> Finding:
    count = os.cpu_count() or 1
    if count < 2:
        return Finding(
            "Processors", "warning", "one: everything will be slow", "Use a computer with two or more."
        )
    return ok("Processors", str(count))


def age() -> Finding:
    """What opens backups. Machines are made without it, and so are backups."""
    if path := shutil.which("age"):
        return ok("Backups", path)
    return Finding(
        "Backups", "warning", "age: not found; it verifies and restores them",
        "sudo apt-get install age, or brew install age",
    )  # fmt: skip
