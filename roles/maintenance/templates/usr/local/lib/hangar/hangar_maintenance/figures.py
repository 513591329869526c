# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""What the monitoring has measured of this machine, from the file that it writes."""

import re
import time
from pathlib import Path

PLACE = Path("/run/hangar-measure/platform.prom")
STALE = 300.0
"""Seconds after which what was measured tells nothing of now. Its sources are asked at least every minute."""


class Unknown(Exception):
    """What could not be told, and why."""


def value(name: str, source: str, since: float | None = None, place: Path = PLACE) -> float:
    """A figure that `source` measured after the moment `since` (seconds of the epoch; by default: lately).

    Raises:
        Unknown: it was not measured, or not since then.
    """
    try:
        text = place.read_text()
    except OSError as problem:
        raise Unknown(f"the monitoring says nothing: {problem}") from None
    measured = _find(text, f'hangar_measured_timestamp_seconds{{source="{source}"}}')
    if measured is None or measured < (time.time() - STALE if since is None else since):
        raise Unknown(f"the monitoring has not looked at {source} lately")
    found = _find(text, name)
    if found is None:
        raise Unknown(f"the monitoring could not measure {name}")
    return found


def _find(text: str, series: str) -> float | None:
    found = re.search(rf"^{re.escape(series)} (\S+)$", text, re.M)
    return float(found[1]) if found else None
