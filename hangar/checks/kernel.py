"""What the machine needs of the kernel that it shares with this computer: devices and user namespaces."""

from pathlib import Path

from hangar import engine
from hangar.checks.finding import Finding, ok
from hangar.cloud.container.request import APPARMOR_PROFILE
from hangar.cloud.vm.request import KVM
from hangar.paths import REPO

SYSCTL = Path("/proc/sys")
PROFILE_SOURCE = REPO / "templates" / "apparmor" / APPARMOR_PROFILE.name
NAMESPACES = 1000
"""Each container of each service user takes a few."""

ELSEWHERE = "in the engine's own virtual machine"


def fuse() -> Finding:
    return _device("/dev/fuse", "fuse", "the storage of rootless containers")


def tun() -> Finding:
    return _device("/dev/net/tun", "tun", "the network of rootless containers")


def _device(path: str, module: str, purpose: str) -> Finding:
    if not engine.shares_our_kernel():
        return ok(path, ELSEWHERE)
    if Path(path).exists():
        return ok(path, purpose)
    return Finding(
        path, "missing", f"not there; it is needed for {purpose}",
        f"sudo modprobe {module} (at every start: echo {module} | sudo tee /etc/modules-load.d/{module}.conf)",
        commands=(("modprobe", module),),
    )  # fmt: skip


def kvm() -> Finding:
    """Whether it works shows only when a kernel boots; the emulator tries that by itself."""
    name = "KVM"
    if not engine.shares_our_kernel():
        return ok(name, ELSEWHERE)
    if KVM.exists():
        return ok(name, "there; whether it works is tried at the machine's start")
    return Finding(
        name, "warning", "no /dev/kvm: the processor will be emulated, several times slower",
        "Switch virtualisation on in this computer's firmware, and: sudo modprobe kvm_intel (or kvm_amd)",
    )  # fmt: skip


def user_namespaces() -> Finding:
    name = "User namespaces"
    if not engine.shares_our_kernel():
        return ok(name, ELSEWHERE)
    limit = _read("user/max_user_namespaces")
    if limit is not None and limit < NAMESPACES:
        return _parameter(name, "user.max_user_namespaces", limit, 15000)
    if _read("kernel/unprivileged_userns_clone") == 0:
        return _parameter(name, "kernel.unprivileged_userns_clone", 0, 1)
    return ok(name, "allowed" if limit is None else f"{limit} allowed")


def apparmor() -> Finding:
    """Ubuntu 24.04 and later refuse user namespaces to processes without an AppArmor profile."""
    name = "AppArmor"
    if not engine.shares_our_kernel() or not _read("kernel/apparmor_restrict_unprivileged_userns"):
        return ok(name, "does not limit user namespaces")
    if APPARMOR_PROFILE.exists():
        return ok(name, f"the profile {APPARMOR_PROFILE.name} admits the machine's user namespaces")
    install = ("install", "-m", "0644", str(PROFILE_SOURCE), str(APPARMOR_PROFILE))
    load = ("apparmor_parser", "-r", str(APPARMOR_PROFILE))
    return Finding(
        name, "missing", "the kernel refuses user namespaces to processes without a profile",
        f"sudo {' '.join(install)} && sudo {' '.join(load)}", commands=(install, load),
    )  # fmt: skip


def _parameter(name: str, parameter: str, now: int, wanted: int) -> Finding:
    """A kernel parameter is the computer's own: Hangar names the change and does not make it."""
    return Finding(
        name, "missing", f"{parameter} is {now}: rootless containers cannot start",
        f"echo {parameter}={wanted} | sudo tee /etc/sysctl.d/90-user-namespaces.conf && sudo sysctl --system",
    )  # fmt: skip


def _read(name: str) -> int | None:
    path = SYSCTL / name
    try:
        return int(path.read_text(encoding="ascii").split()[0])
    except (OSError, ValueError, IndexError):
        return None
