"""How large a machine is, as far as its settings tell before it is there."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GIB_A_CPU: dict[str, dict[str, float]] = {
    **{family: {"standard": 4, "highmem": 8, "highcpu": 1} for family in ("e2", "n2", "n2d")},
    **{family: {"standard": 4, "highmem": 8, "highcpu": 2} for family in ("n4", "c3", "c3d", "c2d")},
    "n1": {"standard": 3.75, "highmem": 6.5, "highcpu": 0.9},
    "t2d": {"standard": 4},
}
"""GiB of memory for each CPU of a predefined machine type (Compute Engine's machine families)."""


@dataclass(frozen=True)
class Size:
    """CPUs, GiB of memory, GiB of the whole disk below /srv; None is not known."""

    cpus: float | None = None
    memory: float | None = None
    disk: float | None = None

    @property
    def complete(self) -> bool:
        return None not in (self.cpus, self.memory, self.disk)

    def lacks(self, needed: "Size") -> list[str]:
        """What is known to be too little, with both figures."""
        pairs = (
            ("CPUs", self.cpus, needed.cpus),
            ("GiB of memory (16 beside Airflow's 3)", self.memory, needed.memory),
            (DISK, self.disk, needed.disk),
        )
        return [
            f"{least:g} {what}, and the machine has {has:g}"
            for what, has, least in pairs
            if has is not None and least is not None and has < least
        ]


FREE = 40
"""GiB that Airbyte's platform wants free under /srv. The role asks the machine for the same (a test holds it)."""

REST = 20
"""GiB of the disk for everything else: what roles bound (sorts, changes and figures of the warehouse and of the
monitoring, what Docker keeps of builds: 15, a test adds them up), and 5 for the images, logs and first data.
"""

NEEDED = Size(cpus=4, memory=19, disk=FREE + REST)
"""For Airbyte's platform beside Airflow, of a machine that is only described: its disk is the whole one."""

DISK = f"GiB of disk at /srv ({FREE} free beside {REST} for images, logs and the warehouse)"


def known(settings: Mapping[str, Any]) -> Size:
    """The size that the settings (machine, vm, gcp) give the machine."""
    machine, cloud = settings.get("machine"), settings.get("cloud")
    if cloud == "gcp" and (gcp := settings.get("gcp")) is not None:
        cpus, memory = of_type(gcp.machine_type)
        return Size(cpus, memory, gcp.data_disk.size_gb)
    if cloud not in ("container", "vm") or machine is None:
        return Size()
    vm = settings.get("vm") if cloud == "vm" else None
    return Size(
        machine.cpus,
        None if machine.memory is None else machine.memory / 2**30,
        None if vm is None else vm.data_disk_gb,
    )


def of_type(name: str) -> tuple[float | None, float | None]:
    """CPUs and GiB of a Compute Engine machine type; None where its family is not in the table."""
    if custom := re.fullmatch(r"(?:[a-z]\w*-)?custom-(\d+)-(\d+)(?:-ext)?", name):
        return float(custom[1]), int(custom[2]) / 1024
    family, _, rest = name.partition("-")
    kind, _, cpus = rest.partition("-")
    gib = GIB_A_CPU.get(family, {}).get(kind)
    if gib is None or not cpus.isdigit():
        return None, None
    return float(cpus), int(cpus) * gib
