"""What the machine's monitoring knows: alerts that fire, and its figures (the answer of `monitoring ask`)."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

LEVELS = ("critical", "warning", "grow")
"""The gravest first."""

DAY = 86400.0

Row = tuple[str, str, str]


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
    """`figures` have a value for each file system, pool, container (USER/NAME), certificate, person or service user, by
    its name, or one under "".
    """

    alerts: tuple[Alert, ...]
    figures: dict[str, dict[str, float]]

    def figure(self, name: str, what: str = "") -> float | None:
        return self.figures.get(name, {}).get(what)

    def rows(self) -> list[Row]:
        """What is worth a line beside CPU, memory and disks: what, how much, a word on it."""
        return [*self._machine(), *self._work(), *self._keeping()]

    def _machine(self) -> list[Row]:
        found = []
        if (load := self.figure("load")) is not None:
            found.append(("load", f"{load:.1f}", "over five minutes"))
        waits = {what: self.figure(f"{what.lower()}_pressure") for what in ("CPU", "memory", "disk")}
        if known := [f"{what} {100 * share:.0f} %" for what, share in waits.items() if share is not None]:
            found.append(("pressure", ", ".join(known), "of the time something waits for it"))
        if (swap := self.figure("swap")) is not None:
            found.append(("swap", f"{100 * swap:.1f} %", ""))
        for place, seconds in sorted(self.figures.get("disk_full_in", {}).items()):
            if seconds < 30 * DAY:
                found.append(
                    (f"disk {place}", "fills up", f"full in {span(seconds)}, at the pace of six hours")
                )
        found += [
            (f"inodes {place}", f"{100 * share:.1f} %", "")
            for place, share in sorted(self.figures.get("inodes", {}).items())
        ]
        came, went = self.figure("network_in"), self.figure("network_out")
        if came is not None and went is not None:
            found.append(("network", f"{size(came)}/s in", f"{size(went)}/s out"))
        if (off := self.figure("clock_off")) is not None:
            found.append(("clock", f"off by {1000 * off:.0f} ms", ""))
        return found

    def _work(self) -> list[Row]:
        running, queued, failed = (self.figure(f"{state}_tasks") for state in ("running", "queued", "failed"))
        found = []
        if (beats := self.figure("scheduler_beats")) is not None:
            found.append(("scheduler", f"{beats:.0f} beats a minute", ""))
        if (parsing := self.figure("parse_time")) is not None:
            broken = self.figure("import_errors")
            found.append(
                ("DAGs", f"read in {span(parsing)}", f"{broken:.0f} cannot be imported" if broken else "")
            )
        if running is not None or queued is not None:
            lost = "" if failed is None else f", {failed:.0f} failed within the hour"
            found.append(("tasks", f"{running or 0:.0f} running", f"{queued or 0:.0f} queued{lost}"))
        for pool, taken in sorted(self.figures.get("pool_taken", {}).items()):
            slots = self.figure("pool_slots", pool)
            if taken and slots is not None:
                found.append((f"pool {pool}", f"{taken:.0f} of {slots:.0f} slots", ""))
        if (syncs := self.figure("airbyte_running")) is not None:
            longest = self.figure("airbyte_longest")
            words = f"{self.figure('airbyte_failed') or 0:.0f} failed within the hour"
            found.append(
                ("syncs", f"{syncs:.0f} running", words + (f", one for {span(longest)}" if longest else ""))
            )
        return [*found, *self._database("warehouse", "warehouse"),
                *self._database("airflow_database", "Airflow's database")]  # fmt: skip

    def _database(self, name: str, words: str) -> list[Row]:
        if (room := self.figure(f"{name}_bytes")) is None:
            return []
        taken, most = self.figure(f"{name}_connections"), self.figure(f"{name}_connections_most")
        said = [] if taken is None or most is None else [f"{taken:.0f} of {most:.0f} connections"]
        if oldest := self.figure(f"{name}_transaction"):
            said.append(f"oldest transaction {span(oldest)}")
        return [(words, size(room), ", ".join(said))]

    def _keeping(self) -> list[Row]:
        """What keeps the machine good for years: only what somebody may have to see to, and the last backup."""
        found = []
        if (age := self.figure("backup_age")) is not None:
            found.append(("backup", f"{span(age)} old", "the last good one"))
        if updates := self.figure("security_updates"):
            found.append(("updates", f"{updates:.0f} pending", "security updates"))
        for user, age in sorted(self.figures.get("images_outdated", {}).items()):
            fate = "made anew within the week"
            if self.figure("images_waiting", user):
                fate = "made; taken in the window, or by the next up, upgrade or start"
            found.append((f"images of {user}", f"fixes for {span(age)}", fate))
        if self.figure("reboot_needed"):
            found.append(("reboot", "needed", "an update waits for it"))
        if units := self.figure("failed_units"):
            found.append(("units", f"{units:.0f} failed", ""))
        if (logins := self.figure("failed_logins")) and logins >= 0.5:
            found.append(("log-ins", f"{logins:.0f} failed", "within the hour"))
        for name, words in (("certificate_ends_in", "certificate"), ("key_ends_in", "key of")):
            for what, left in sorted(self.figures.get(name, {}).items()):
                if left < 30 * DAY:
                    found.append(
                        (f"{words} {what}", f"ends in {span(left)}" if left > 0 else "has ended", "")
                    )
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
    if "container" in labels:
        return f"{labels.get('user', '')}/{labels['container']}"
    return next(
        (labels[name] for name in ("mountpoint", "pool", "path", "person", "user") if labels.get(name)), ""
    )


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


def size(count: float) -> str:
    """Bytes in their largest unit."""
    for unit in ("B", "KiB"):
        if count < 1024:
            return f"{count:.0f} {unit}"
        count /= 1024
    return f"{count:.1f} MiB" if count < 1024 else f"{count / 1024:.1f} GiB"
