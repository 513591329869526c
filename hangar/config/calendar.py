"""Times as systemd's OnCalendar has them (systemd.time(7)): whether a unit would take one."""

import re

WORDS = (
    "minutely", "hourly", "daily", "weekly", "monthly", "quarterly", "semiannually", "yearly", "annually",
)  # fmt: skip
DAY = r"(?:Mon(?:day)?|Tue(?:sday)?|Wed(?:nesday)?|Thu(?:rsday)?|Fri(?:day)?|Sat(?:urday)?|Sun(?:day)?)"
DAYS = rf"{DAY}(?:(?:,|\.\.){DAY})*,?"
ONE = r"(?:\*|\d{1,4}(?:\.\.\d{1,4})?)(?:/\d{1,4})?"
LIST = rf"{ONE}(?:,{ONE})*"
DATE = rf"(?:(?P<year>{LIST})-)?(?P<month>{LIST})[-~](?P<day>{LIST})"
TIME = rf"(?P<hour>{LIST}):(?P<minute>{LIST})(?::(?P<second>{LIST}))?"
ZONE = r"UTC|[A-Z][A-Za-z_]+(?:/[A-Z][A-Za-z_+-]+)+"
WHOLE = re.compile(rf"(?:{DAYS}(?: |$))?(?:{DATE}(?: |$))?(?:{TIME}(?: |$))?(?:{ZONE})?", re.IGNORECASE)
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
