"""Times as systemd's OnCalendar has them (systemd.time(7)): whether a unit would take one, and how often it comes."""

import calendar
import re
from collections.abc import Iterator
from datetime import date
from functools import cache
from itertools import pairwise

WORDS = {
    "minutely": "*:*", "hourly": "*:00", "daily": "00:00", "weekly": "Mon", "monthly": "*-*-01",
    "quarterly": "*-01,04,07,10-01", "semiannually": "*-01,07-01", "yearly": "*-01-01", "annually": "*-01-01",
}  # fmt: skip
DAY = r"(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)"
DAYS = rf"(?P<weekdays>{DAY}(?:(?:,|\.\.){DAY})*),?"
ONE = r"(?:\*|\d{1,4}(?:\.\.\d{1,4})?)(?:/\d{1,4})?"
LIST = rf"{ONE}(?:,{ONE})*"
DATE = rf"(?:(?P<year>{LIST})-)?(?P<month>{LIST})(?P<from>[-~])(?P<day>{LIST})"
TIME = rf"(?P<hour>{LIST}):(?P<minute>{LIST})(?::(?P<second>{LIST}))?"
ZONE = r"UTC|[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_+-]+)+"
WHOLE = re.compile(rf"(?:{DAYS}(?: |$))?(?:{DATE}(?: |$))?(?:{TIME}(?: |$))?(?:{ZONE})?", re.IGNORECASE)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
YEARS = range(2025, 2037)
"""Long enough for each weekday to meet each date but a leap day."""

RANGES = {"month": (1, 12), "day": (1, 31), "hour": (0, 23), "minute": (0, 59), "second": (0, 59)}


def is_calendar(text: str) -> bool:
    """Whether systemd takes it. Narrower than systemd in what nobody writes: fractions of a second, @ and a moment."""
    if text.lower() in WORDS:
        return True
    found = WHOLE.fullmatch(text)
    if not text or not found:
        return False
    return all(
        least <= int(number) <= most
        for name, (least, most) in RANGES.items()
        for number in re.findall(r"(?<![/\d])\d+", found[name] or "")
    )


@cache
def longest_gap(text: str) -> float | None:
    """The most hours that lie between two times in a row; None where it does not come again and again."""
    found = WHOLE.fullmatch(WORDS.get(text.lower(), text))
    if not text or not found or (found["year"] or "*") != "*":
        return None
    times = sorted(
        60 * hour + minute for hour in _numbers(found, "hour") for minute in _numbers(found, "minute")
    )
    days = list(_days(found))
    if len(days) < 2 or not times:
        return None
    over_night = [(after - day).days * 1440 + times[0] - times[-1] for day, after in pairwise(days)]
    return max(over_night + [after - time for time, after in pairwise(times)]) / 60


def _days(found: re.Match[str]) -> Iterator[date]:
    weekdays = set(_weekdays(found["weekdays"] or "Mon..Sun"))
    months = set(_numbers(found, "month"))
    for year in YEARS:
        for month in sorted(months):
            last = calendar.monthrange(year, month)[1]
            days = {day for day in _numbers(found, "day", last) if 1 <= day <= last}
            dates = (date(year, month, day) for day in sorted(days))
            yield from (one for one in dates if one.weekday() in weekdays)


def _weekdays(text: str) -> Iterator[int]:
    for part in text.lower().split(","):
        begin, _, end = part.partition("..")
        first = WEEKDAYS.index(begin[:3])
        yield from range(first, WEEKDAYS.index(end[:3]) + 1 if end else first + 1)


def _numbers(found: re.Match[str], name: str, last_day: int = 31) -> list[int]:
    """What a component stands for. Days may count from the month's end (~); then a step leads to that end."""
    least, most = RANGES[name]
    is_backwards = name == "day" and found["from"] == "~"
    numbers: set[int] = set()
    for part in (found[name] or ("*" if name in ("month", "day") else "0")).split(","):
        span, _, step = part.partition("/")
        begin, _, end = span.partition("..")
        first = least if begin == "*" else int(begin)
        stop = int(end) if end else most if step or begin == "*" else first
        if is_backwards and begin != "*":
            first, stop = last_day + 1 - first, last_day if step else last_day + 1 - stop
        numbers.update(range(first, stop + 1, int(step or 1) or 1))
    return sorted(numbers)
