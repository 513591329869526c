"""When the machine wants to grow: which resource, since when, what would fit, and what that costs."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from hangar.watched import Alert

if TYPE_CHECKING:
    from hangar.config import Config

SHAPES = {
    "c3": (4, 8, 22, 44, 88, 176),
    "c3d": (4, 8, 16, 30, 60, 90, 180, 360),
    "e2": (2, 4, 8, 16, 32),
    "n1": (1, 2, 4, 8, 16, 32, 64, 96),
    "n2": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128),
    "n2d": (2, 4, 8, 16, 32, 48, 64, 80, 96, 128, 224),
    "n4": (2, 4, 8, 16, 32, 48, 64, 80),
    "t2d": (1, 2, 4, 8, 16, 32, 48, 60),
}
"""vCPUs of a family's standard shapes (Compute Engine's documentation of machine families). All are of one processor
architecture: a machine's disk starts on no other.
"""

BEYOND = {"e2": "n2"}
"""Where a family goes on that has ended: one that takes the same kinds of disks."""


@dataclass(frozen=True)
class Growth:
    """One wish. `fits` is a setting that would do, `change` its price beside today's, empty where none is known."""

    resource: str
    since: datetime
    why: str
    fits: str
    change: str = ""

    def as_data(self) -> dict[str, Any]:
        return {
            "resource": self.resource, "since": self.since.isoformat(), "why": self.why, "fits": self.fits,
            "cost": self.change,
        }  # fmt: skip


def wishes(alerts: tuple[Alert, ...], config: "Config") -> tuple[Growth, ...]:
    """What the alerts of level `grow` come to, on the machine that the settings describe."""
    found: dict[str, Growth] = {}
    for alert in sorted((one for one in alerts if one.resource), key=lambda one: one.since):
        fits, change = _fitting(alert, config)
        # CPU and memory grow together where a larger machine type brings both.
        found.setdefault(fits, Growth(alert.resource, alert.since, alert.reason, fits, change))
    return tuple(found.values())


def _fitting(alert: Alert, config: "Config") -> tuple[str, str]:
    if config.cloud == "gcp":
        return _disk(alert, config) if alert.resource == "disk" else _machine_type(config)
    if config.cloud == "vm" and alert.resource == "disk":
        return _own_disk(alert, config), ""
    if alert.resource == "disk":
        return f"a larger disk under {alert.labels.get('mountpoint', '/srv')}", ""
    if config.is_here:
        return _share(alert.resource, config), ""
    return f"a machine with twice the {'CPUs' if alert.resource == 'cpu' else 'memory'}", ""


def _share(resource: str, config: "Config") -> str:
    """A machine on this computer has a share of it, or all of it."""
    cpus, memory = config.machine.cpus, config.machine.memory
    if resource == "cpu" and cpus is not None:
        return f"machine.cpus: {2 * cpus:g}"
    if resource == "memory" and memory is not None:
        return f"machine.memory: {2 * memory / 2**30:g}GiB"
    what = "CPUs" if resource == "cpu" else "memory"
    return f"a computer with more {what}, or a machine in the cloud: this one has all that there is"


def _machine_type(config: "Config") -> tuple[str, str]:
    from hangar.cloud.gcp import cost

    now = config.gcp.machine_type
    match = cost.STANDARD.fullmatch(now or "")
    if not match:
        return f"a machine type with twice the vCPUs and memory of {now}", ""
    if match[1] not in SHAPES:
        return f"a machine type with twice the vCPUs and memory of {now}", ""
    larger = next_type(match[1], int(match[2]))
    if not larger:
        return f"a machine type larger than {now}, of another family", ""
    prices = [_month(cost.Sizes(kind, ()), config) for kind in (now, larger)]
    return f"gcp.machine_type: {larger}", _change(prices, config)


def next_type(family: str, vcpus: int) -> str:
    """The next larger standard shape that there is; "" past the end."""
    for kind in (family, BEYOND.get(family, "")):
        for shape in SHAPES.get(kind, ()):
            if vcpus < shape:
                return f"{kind}-standard-{shape}"
    return ""


def _disk(alert: Alert, config: "Config") -> tuple[str, str]:
    from hangar.cloud.gcp import cost

    gcp = config.gcp
    boot = alert.labels.get("mountpoint") == "/"
    size, kind = (
        (gcp.boot_disk_gb, gcp.boot_disk_type) if boot else (gcp.data_disk.size_gb, gcp.data_disk.type)
    )
    larger = _larger(size)
    prices = [_month(cost.Sizes(None, (("disk", kind, gib),)), config) for gib in (size, larger)]
    return f"{'gcp.boot_disk_gb' if boot else 'gcp.data_disk.size_gb'}: {larger}", _change(prices, config)


def _own_disk(alert: Alert, config: "Config") -> str:
    """A virtual machine's disks are files that grow in place."""
    name, size = ("boot_disk_gb", config.vm.boot_disk_gb) if alert.labels.get("mountpoint") == "/" else (
        "data_disk_gb", config.vm.data_disk_gb)  # fmt: skip
    return f"vm.{name}: {_larger(size)}"


def _larger(size: int) -> int:
    """Half as much again, in tens."""
    return -(-size * 3 // 20) * 10


def _month(sizes: Any, config: "Config") -> float | None:
    from hangar.cloud.gcp import cost

    found, unknown = cost.items(sizes, cost.load(config.gcp.region), config.gcp.prices)
    return None if unknown else sum(price for _, price in found)


def _change(prices: list[float | None], config: "Config") -> str:
    from hangar.cloud.gcp import cost

    before, after = prices
    if before is None or after is None:
        return ""
    table, own = cost.load(config.gcp.region), config.gcp.prices
    words = f"{after:.0f} {cost.currency(table, own)} a month instead of {before:.0f}"
    return f"{words}; {cost.source(table, own)}"
