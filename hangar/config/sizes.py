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
    """CPUs, GiB of memory, GiB of the disk below /srv; None is not known."""

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
            ("GiB free under /srv", self.disk, needed.disk),
        )
        return [
            f"{least:g} {what}, and the machine has {has:g}"
            for what, has, least in pairs
            if has is not None and least is not None and has < least
        ]


NEEDED = Size(cpus=4, memory=19, disk=40)
"""For Airbyte's platform beside Airflow. The role's own look at the machine uses the same figures (a test holds it)."""

FOR_CHOICE = Size(cpus=4, memory=19, disk=60)
"""Where nobody asked for it: 40 GiB are free on a disk that also holds Airflow's images, logs and the warehouse."""


def known(settings: Mapping[str, Any]) -> Size:
    """The size that the settings (machine, gcp) give the machine."""
    machine, cloud = settings.get("machine"), settings.get("cloud")
    if cloud == "gcp" and (gcp := settings.get("gcp")) is not None:
        cpus, memory = of_type(gcp.machine_type)
        return Size(cpus, memory, gcp.data_disk.size_gb)
    if cloud == "container" and machine is not None:
        return Size(machine.cpus, None if machine.memory is None else machine.memory / 2**30)
    return Size()


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
