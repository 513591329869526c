# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""A disk without any room, told to Alertmanager from here: Prometheus cannot write what its rules would see it by."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .described import Refused

LEAST = 1 << 20
"""Bytes that anybody but root can still write; with less Prometheus' log of what it takes in is at its end."""

AFTER = 15.0
"""Seconds for which it is so before it is told: a file that is being replaced is no news."""

AGAIN = 30.0
"""Seconds between two messages; Alertmanager lets an alert end that nobody repeats."""

PLACES = ("/", "/srv")

SHOWN = Path("/run/hangar-measure/told.json")
"""What the dashboard shows beside Prometheus' own alerts; in memory, so that a full disk does not keep it from us."""


class Room:
    """Looks whenever it is asked to; `tell` takes alerts as Alertmanager's API has them."""

    def __init__(
        self,
        entry: dict[str, str],
        tell: Callable[[list[dict[str, Any]]], None],
        places: Iterable[str] = PLACES,
    ) -> None:
        self.entry, self.tell, self.places = entry, tell, tuple(places)
        self.since: dict[str, float] = {}
        self.told: dict[str, float] = {}
        self.complaint = ""

    def look(self, now: float) -> None:
        """Tell what is so for long enough, and what has ended. A failure is tried again, and said once in the log."""
        alerts, told = [], dict(self.told)
        for place in self.places:
            if left(place) >= LEAST:
                self.since.pop(place, None)
                if told.pop(place, None) is not None:
                    alerts.append(self._alert(place, ends_in=0))
            elif now - self.since.setdefault(place, now) >= AFTER and now - told.get(place, -AGAIN) >= AGAIN:
                alerts.append(self._alert(place, ends_in=3 * AGAIN))
                told[place] = now
        if alerts:
            try:
                self.tell(alerts)
            except Refused as problem:
                if str(problem) != self.complaint:
                    print(problem, file=sys.stderr, flush=True)
                self.complaint = str(problem)
                return
        self.told, self.complaint = told, ""

    def firing(self, now: float) -> list[dict[str, Any]]:
        """What is so for long enough, heard by Alertmanager or not, as Prometheus' API would say it."""
        return [
            {
                **self._alert(place, ends_in=0),
                "state": "firing",
                "activeAt": _moment(since - now),
            }
            for place, since in sorted(self.since.items())
            if now - since >= AFTER
        ]

    def _alert(self, place: str, *, ends_in: float) -> dict[str, Any]:
        words = {
            key: self.entry[key].replace("{{ $labels.mountpoint }}", place) for key in ("reason", "action")
        }
        return {
            "labels": {"alertname": self.entry["name"], "level": self.entry["level"], "mountpoint": place},
            "annotations": words,
            "endsAt": _moment(ends_in),
        }


def _moment(seconds: float) -> str:
    """So many seconds from now."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))


def show(alerts: list[dict[str, Any]], place: Path = SHOWN) -> None:
    """Replace what the dashboard reads; it goes by the file's age, too, so this is for each look."""
    temporary = place.with_name(f".{place.name}.new")
    temporary.write_text(json.dumps({"alerts": alerts}), encoding="utf-8")
    temporary.replace(place)


def left(place: str) -> int:
    """Bytes that anybody but root can still write there."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize
