"""Is there room: disk and memory."""

import os
from pathlib import Path

from hangar import engine
from hangar.checks.finding import Finding, ok

GIB = 2**30
DISK, DISK_LOW = 10, 20
MEMORY, MEMORY_LOW = 4, 6
"""GiB below which a machine cannot work, and below which it is tight. Airflow's stack takes 3 when idle."""


def disk() -> Finding:
    facts = engine.facts()
    root = Path((facts or {}).get("DockerRootDir") or "/var/lib/docker")
    if facts is not None and not engine.shares_our_kernel():
        return ok("Disk", "in the engine's own virtual machine")
    return judge("Disk", f"free at {root}", free(root), DISK, DISK_LOW, "Make room: docker system df")


def memory() -> Finding:
    facts = engine.facts()
    total = facts["MemTotal"] if facts else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    cure = "Give the engine more memory, or use a larger computer."
    return judge("Memory", "in all", total, MEMORY, MEMORY_LOW, cure)


def judge(name: str, what: str, size: int, least: int, low: int, cure: str) -> Finding:
    """`size` is in bytes; `least` and `low` are in GiB."""
    detail = f"{size / GIB:.1f} GiB {what}"
    if size < least * GIB:
        return Finding(name, "missing", f"{detail}; at least {least} are needed", cure)
    if size < low * GIB:
        return Finding(name, "warning", f"{detail}; {low} would be comfortable", cure)
    return ok(name, detail)


def free(path: Path) -> int:
    """Bytes that are free where `path` is or will be; its owner may have closed it to us."""
    while True:
        try:
            status = os.statvfs(path)
        except OSError:
            path = path.parent
            continue
        return status.f_bavail * status.f_frsize
