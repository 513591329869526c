"""What the machine's monitoring knows: alerts that fire, and its figures (the answer of `monitoring ask`)."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LEVELS = ("critical", "warning", "grow")
"""The gravest first."""

DAY = 86400.0


@dataclass(frozen=True)
class Alert:
    """One alert that fires. `since` is when its cause was first seen."""

    name: str
    level: str
    since: datetime
    reason: str
    action: str
    labels: dict[str, str]

    @property
    def resource(self) -> str:
        """What the machine has too little of, for an alert of level `grow`: cpu, memory or disk."""
        return self.labels.get("resource", "")

    def as_data(self) -> dict[str, Any]:
        return {
            "name": self.name, "level": self.level, "since": self.since.isoformat(), "reason": self.reason,
            "action": self.action, "labels": self.labels,
        }  # fmt: skip


@dataclass(frozen=True)
class Watched:
    """`figures` have a value for each file system or pool, by its name, or one under ""."""

    alerts: tuple[Alert, ...]
    figures: dict[str, dict[str, float]]

    def figure(self, name: str, what: str = "") -> float | None:
        return self.figures.get(name, {}).get(what)

    def rows(self) -> list[tuple[str, str, str]]:
        """What is worth a line beside CPU, memory and disks: what, how much, a word on it."""
        found = []
        if (load := self.figure("load")) is not None:
            found.append(("load", f"{load:.1f}", "over five minutes"))
        if (swap := self.figure("swap")) is not None:
            found.append(("swap", f"{100 * swap:.1f} %", ""))
        for place, seconds in sorted(self.figures.get("disk_full_in", {}).items()):
            if seconds < 30 * DAY:
                found.append(
                    (f"disk {place}", "fills up", f"full in {span(seconds)}, at the pace of six hours")
                )
        found += self._work()
        if (age := self.figure("backup_age")) is not None:
            found.append(("backup", f"{span(age)} old", "the last good one"))
        if updates := self.figure("security_updates"):
            found.append(("updates", f"{updates:.0f} pending", "security updates"))
        if self.figure("reboot_needed"):
            found.append(("reboot", "needed", "an update waits for it"))
        return found

    def _work(self) -> list[tuple[str, str, str]]:
        running, queued = self.figure("running_tasks"), self.figure("queued_tasks")
        found = []
        if running is not None or queued is not None:
            found.append(("tasks", f"{running or 0:.0f} running", f"{queued or 0:.0f} queued"))
        if (size := self.figure("warehouse_bytes")) is not None:
            found.append(("warehouse", f"{size / 2**30:.1f} GiB", ""))
        return found


def read(text: str) -> Watched:
    """Reads the machine's answer.

    Raises:
        ValueError: it is no such answer.
    """
    said = json.loads(text)
    try:
        alerts = [_alert(one) for one in said["alerts"]]
        figures = {
            name: {_what(one["labels"]): float(one["value"]) for one in values}
            for name, values in said["figures"].items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from error
    return Watched(tuple(sorted(alerts, key=lambda one: (_rank(one.level), one.since, one.name))), figures)


def _alert(one: dict[str, Any]) -> Alert:
    return Alert(
        one["name"], one["level"], moment(one["since"]), one.get("reason", ""), one.get("action", ""), one["labels"]
    )  # fmt: skip


def _what(labels: dict[str, str]) -> str:
    return labels.get("mountpoint") or labels.get("pool") or ""


def _rank(level: str) -> int:
    return LEVELS.index(level) if level in LEVELS else len(LEVELS)


def moment(text: str) -> datetime:
    """A time as Prometheus writes it, with up to nine digits after the second's point."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    return datetime.fromisoformat(f"{whole}.{fraction[:6]:0<6}").replace(tzinfo=UTC)


def span(seconds: float) -> str:
    """A span of time in its largest unit, as people say it."""
    for size, name in ((DAY, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {name}"
    return f"{max(0.0, seconds):.0f} s"
