"""The one list of what is watched (roles/monitoring/files): for back ends that are set up from here."""

import json
from dataclasses import dataclass
from functools import cache
from typing import Any

import yaml

from hangar import paths

FOLDER = paths.REPO / "roles/monitoring/files"

FIRING = "hangar_alert_firing"
"""The machine's own judgement: 1 for every alert that fires, by its name (`alertname`)."""


@dataclass(frozen=True)
class Entry:
    """One alert. `expr` is its expression where somebody else than the machine has to judge; `needs` is the part of
    the platform without which it says nothing. `reason` and `action` are templates of Prometheus.
    """

    name: str
    level: str
    reason: str
    action: str
    needs: str = ""
    expr: str = ""


@cache
def _read() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "watched.yml").read_text(encoding="utf-8"))
    return found


def alerts() -> tuple[Entry, ...]:
    """What the machine judges, and then what only somebody outside it can see."""
    inside = [_entry(one) for one in _read()["alerts"]]
    return (*inside, *(_entry(one, one["expr"]) for one in _read()["outside"]))


def _entry(one: dict[str, Any], expr: str = "") -> Entry:
    return Entry(one["name"], one["level"], one["reason"], one["action"], one.get("needs", ""), expr)


@cache
def panels() -> tuple[dict[str, Any], ...]:
    """The dashboard's panels, as the page and Grafana have them."""
    return tuple(json.loads((FOLDER / "dashboard/panels.json").read_text(encoding="utf-8")))
