"""How long the news of a cause is on its way at most, by what the machine is set to. That it really comes, and when,
is watched on a machine (tests/matrix/test_alerts.py).
"""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import yaml
from hangar_monitoring import loop

from hangar import promql
from hangar.paths import REPO
from tests.templates.render import render

WITHIN = 90
"""Seconds from a cause to whoever is told, at most."""

BY_TIME = {
    "AirflowUnwell": "Airflow itself waits half a minute before it calls a part of its own unwell",
    "FiguresStale": "a program that says nothing is known by the time that has passed",
}
"""Alerts whose cause is a span itself."""

ROLE = {"role_path": str(REPO / "roles/monitoring")}
SERVICES = {
    "containers": {"airflow": 2001}, "airflow": {"port": 8080}, "airbyte": {"port": 8000, "credentials": "/c"},
    "warehouse": {"port": 5432, "password": "/p"},
}  # fmt: skip
SOURCE_OF = {
    "hangar_airbyte_": "airbyte", "hangar_airflow_": "airflow", "hangar_alert_secret_": "secrets",
    "hangar_container": "containers-airflow", "hangar_key_": "keys", "hangar_postgres_": "warehouse",
    "hangar_ssh_failed_": "logins", "hangar_unit_": "units",
}  # fmt: skip
"""Who measures a figure, by how its name begins. The others are worked out from what Prometheus asks itself, or left
as files by other programs.
"""

WINDOW = re.compile(r"rate\([a-z_]+(?:\{[^}]*\})?\[(\w+)\]\) == 0")
"""What counts as silence: nothing may have moved for as long."""


def seconds(text: str) -> int:
    return int(text[:-1]) * {"s": 1, "m": 60, "h": 3600, "d": 86400}[text[-1]]


def shown(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        render("monitoring", f"/etc/hangar/monitoring/{path}", monitoring_services=SERVICES, **ROLE)
    )
    return found


RULES = [one for one in shown("rules.yml")["groups"][0]["rules"] if "alert" in one]
AT_ONCE = [one for one in RULES if seconds(one["for"]) <= 60 and one["alert"] not in BY_TIME]


def measured_every(expression: str) -> float:
    """Seconds from one look at what the expression is about to the next, until that is written down, at most."""
    described = {"services": SERVICES, "certificates": "/x", "secrets": []}
    every = {one.name: one.every for one in loop.sources(described)}
    ours = {name for name in promql.names(expression) if name.startswith("hangar_")}
    asked = [every[source] for name in ours for start, source in SOURCE_OF.items() if name.startswith(start)]
    return max(asked, default=0) + loop.WRITTEN_EVERY


@pytest.mark.parametrize("rule", AT_ONCE, ids=lambda rule: rule["alert"])
def test_who_is_told_is_told_within_90_seconds(rule: dict[str, Any]) -> None:
    asked, told = shown("prometheus.yml")["global"], shown("alertmanager.yml")["route"]
    judged = seconds(asked["evaluation_interval"])
    silence = WINDOW.search(rule["expr"])
    way = [
        loop.WRITTEN_EVERY if silence else measured_every(rule["expr"]),  # what beats is heard as it comes
        seconds(asked["scrape_interval"]),
        seconds(silence[1]) if silence else 0,
        judged,
        math.ceil(seconds(rule["for"]) / judged) * judged,
        max(seconds(told["group_wait"]), seconds(told["group_interval"])),
    ]
    assert sum(way) <= WITHIN, way


def test_no_alert_is_left_out_that_is_none() -> None:
    assert set(BY_TIME) <= {one["alert"] for one in RULES}
