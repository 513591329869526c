"""What apt-get says that it would do."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LINE = re.compile(r"^Inst (\S+) (?:\[([^\]]+)\] )?\((\S+) (.*?)(?: \[[^\]]*\])?\)", re.M)
"""`Inst NAME [OLD] (NEW ORIGIN, ORIGIN [ARCHITECTURE]) …`; what is new has no OLD."""

KEPT = re.compile(r"^The following packages have been kept back:\n((?:  .*\n?)+)", re.M)

UNMET = re.compile(r"^The following packages have unmet dependencies:\n((?: .*\n?)+)", re.M)


@dataclass(frozen=True)
class Package:
    name: str
    old: str
    new: str
    security: bool


def packages(simulated: str) -> tuple[Package, ...]:
    """What `apt-get --simulate upgrade` would install, in its order."""
    return tuple(
        Package(name, old, new, "-Security:" in origin) for name, old, new, origin in LINE.findall(simulated)
    )


def kept_back(simulated: str) -> tuple[str, ...]:
    """What it would leave as it is though there is something newer: held, or it would remove another."""
    return tuple(_names(simulated))


def unmet(simulated: str) -> tuple[str, ...]:
    """What does not fit together on the machine, in apt-get's words; it upgrades nothing until that is mended."""
    lines = "".join(UNMET.findall(simulated)).splitlines()
    return tuple(" ".join(line.split()) for line in lines)


def _names(simulated: str) -> Iterator[str]:
    for block in KEPT.findall(simulated):
        yield from block.split()
