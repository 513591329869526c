"""The controls: what is promised, whose rule it is, and the tests that prove it. Each role keeps its own table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

HOUSE = Path(__file__).resolve().parents[1]
"""Where the roles lie beside this program."""

LEFT_OPEN = "left open: "
"""How the reason of a test begins that was not run because its control has an exception."""


@dataclass(frozen=True)
class Control:
    """One rule. `proved_by` are tests of the role's contract; without any it is left open by the house itself.

    `show` is a command on the machine; `scanners` says under which names a scanner speaks of it, and `answers`, by
    those names, why it finds fault although the promise holds. `switch` says whether its role leaves it out for an
    exception; `needs` names the control without which it has nothing to be about.
    """

    name: str
    role: str
    promise: str
    sources: tuple[str, ...]
    proved_by: tuple[str, ...] = ()
    show: str = ""
    scanners: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    answers: Mapping[str, str] = field(default_factory=dict)
    switch: bool = False
    needs: str = ""


@cache
def controls() -> tuple[Control, ...]:
    """Every role's controls, in the order of the site."""
    (play,) = yaml.safe_load((HOUSE / "playbooks/site.yml").read_text(encoding="utf-8"))
    return tuple(one for entry in play["roles"] for one in _of_role(entry["role"]))


def names() -> frozenset[str]:
    """The names of all controls."""
    return frozenset(one.name for one in controls())


def switchable() -> frozenset[str]:
    """The names that an exception may have: its role reads each of them, and leaves the control out."""
    return frozenset(one.name for one in controls() if one.switch)


def _of_role(role: str) -> list[Control]:
    path = HOUSE / "roles" / role / "meta/controls.yml"
    if not path.exists():
        return []
    return [
        Control(
            name=one["name"],
            role=role,
            promise=one["promise"],
            sources=tuple(one["sources"]),
            proved_by=tuple(one.get("proved_by", ())),
            show=one.get("show", ""),
            switch=one.get("switch", False),
            needs=one.get("needs", ""),
            scanners={scanner: tuple(found) for scanner, found in one.get("scanners", {}).items()},
            answers=one.get("answers", {}),
        )
        for one in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]
