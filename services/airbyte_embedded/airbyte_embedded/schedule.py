"""Cron expressions as Airbyte writes them: Quartz's six fields (seconds first), a time zone after them.

`0 30 6 * * ?` and `0 0 */2 ? * MON-FRI Europe/Berlin` are understood; without a zone it is UTC. What Quartz and
cron read differently is refused rather than guessed: days of the week by number, and L, W and #. So is what no date
answers to, such as 30 February: it would never run, and nothing would say so.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

from airbyte_embedded.problems import Problem


@dataclass(frozen=True)
class Cron:
    fields: str
    zone: ZoneInfo


def parse(expression: str | None) -> Cron:
    """Raises Problem 400 that says what is wrong with the expression."""
    words = (expression or "").split()
    zone = "UTC"
    if words and re.fullmatch(r"[A-Za-z]+(/[A-Za-z_+-]+\d*)*", words[-1]) and len(words) > 6:
        zone = words.pop()
    if len(words) == 7 and words[6] == "*":  # Quartz's year
        words.pop()
    if len(words) != 6:
        raise _refused(expression, "it needs six fields, seconds first, and may name a time zone after them")
    if re.search(r"\d", words[5]) or re.search(r"[LW#]", f"{words[3]} {re.sub(r'[A-Z]{3}', '', words[5])}"):
        raise _refused(
            expression, "days of the week are written by name (MON-FRI); L, W and # are not supported"
        )
    fields = " ".join("*" if word == "?" else word for word in words)
    try:
        cron = Cron(fields, ZoneInfo(zone))
        _next(cron, time.time())
        return cron
    except CroniterBadDateError:
        raise _refused(expression, "no date answers to it") from None
    except (CroniterError, ValueError, KeyError) as error:
        raise _refused(expression, str(error)) from None


def following(expression: str, moment: float) -> float:
    """The first time after `moment` (seconds since 1970) that the expression names. Raises Problem 400 as `parse`."""
    return _next(parse(expression), moment)


def _next(cron: Cron, moment: float) -> float:
    start = datetime.fromtimestamp(moment, cron.zone)
    due: datetime = croniter(cron.fields, start, second_at_beginning=True).get_next(datetime)
    return due.timestamp()


def _refused(expression: str | None, why: str) -> Problem:
    shown = (expression or "")[:100]
    return Problem(
        400, "bad-request", f"The cronExpression {shown!r} cannot be used: {why}.", {"cronExpression": shown}
    )
