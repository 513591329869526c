"""What the hardening costs: its share of an `up`, from the report that each one leaves."""

from __future__ import annotations

import json
from pathlib import Path

from bench.figure import Figure

ROLES = ("hardening_", "interlock")
"""With the proofs of new logins, which are the interlock's: all of them, those that other roles ask for too."""

FIRST, SECOND = 45, 5


def hardening_seconds(home: Path, environment: str) -> float:
    """What it took in the last `up` of a checkout. AIDE's first database is no part of it, it has its own timer."""
    report = json.loads((home / ".hangar" / environment / "report.json").read_text())
    return sum(role["seconds"] for role in report["roles"] if role["name"].startswith(ROLES))


def hardening_figures(first: float, second: float) -> list[Figure]:
    return [
        Figure("the hardening's share of a first up", first, FIRST, "s"),
        Figure("the hardening's share of a second up", second, SECOND, "s"),
    ]
