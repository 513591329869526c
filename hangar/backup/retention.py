"""Which backups stay: all of the last day, and the newest of each of the last days, weeks and months that have one."""

from collections.abc import Callable, Iterable
from datetime import timedelta

from hangar.backup.records import moment
from hangar.config.backup import Keep

ALL = timedelta(days=1)
SAFE_DAYS = 30
"""A host's objects that no index names are removed after this many days. A machine refers to what it sent within the
last seven days (roles/backup), so nothing that it may still name is younger than that.
"""


def kept(identifiers: Iterable[str], keep: Keep) -> set[str]:
    """Those that stay, of all that there are. The newest is always among them, and what was made within a day before
    it: one that was made before a change must not go with the one after it.
    """
    newest_first = sorted(set(identifiers), reverse=True)
    found = {one for one in newest_first if moment(newest_first[0]) - moment(one) < ALL}
    for count, period in ((keep.daily, _day), (keep.weekly, _week), (keep.monthly, _month)):
        found |= _newest_of_each(newest_first, period, count)
    return found


def _newest_of_each(newest_first: list[str], period: Callable[[str], str], count: int) -> set[str]:
    chosen: dict[str, str] = {}
    for identifier in newest_first:
        chosen.setdefault(period(identifier), identifier)
    return set(list(chosen.values())[:count])


def _day(identifier: str) -> str:
    return identifier[:8]


def _week(identifier: str) -> str:
    year, week, _ = moment(identifier).isocalendar()
    return f"{year}-{week:02}"


def _month(identifier: str) -> str:
    return identifier[:6]
