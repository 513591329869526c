"""What a check says: the state of one thing, and the cure where it is ill."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """`cure` is for people: the command to type. `packages` (Debian's names) and `commands` are the same for
    Hangar, which runs them when it is allowed to. A warning stops nothing."""

    name: str
    state: State
    detail: str
    cure: str = ""
    packages: tuple[str, ...] = ()
    commands: tuple[tuple[str, ...], ...] = ()


Check = Callable[[], Finding]


def ok(name: str, detail: str) -> Finding:
    return Finding(name, "ok", detail)


def needs_packages(name: str, detail: str, *packages: str) -> Finding:
    return Finding(name, "missing", detail, f"sudo apt-get install {' '.join(packages)}", packages)
