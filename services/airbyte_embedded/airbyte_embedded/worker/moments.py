"""Moments and times of day with an offset, told in UTC: the columns that PyAirbyte makes for them have no time zone.

Postgres and DuckDB cut an offset off, so that 10:00+05:30 would be there as 10:00, and Airbyte's moments mean UTC.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from email.utils import parsedate_to_datetime
from typing import Any

from airbyte.types import SQLTypeConverter
from sqlalchemy.types import TIME, TIMESTAMP

PLAIN = ("Z", "+00:00")
SECONDS = r":[0-9]{2}(?:[.,][0-9]+)?\s*"
NEUTRAL = r"(?:UTC|GMT|[AP]M|AD|BC)$"  # behind a time of day they are no offset, or change nothing
OFFSET = re.compile(
    rf"{SECONDS}(?:[+-][0-9:]+(?:\s*(?:AD|BC))?|(?!{NEUTRAL})[A-Za-z]{{2,}}[\w/+-]*)$", re.IGNORECASE
)
DAY = date(2000, 1, 1)
"""Any: an offset is all that counts."""


class Unreadable(Exception):
    """An offset that would be cut off, and the value wrong without a word."""


def columns(properties: Mapping[str, Any], types: SQLTypeConverter) -> tuple[str, ...]:
    """Those of a stream's columns that hold a moment or a time of day."""
    kinds = {name: types.to_sql_type(part) for name, part in properties.items()}
    return tuple(
        name
        for name, kind in kinds.items()
        if isinstance(kind, TIME) or (isinstance(kind, TIMESTAMP) and kind.timezone)
    )


def to_utc(row: dict[str, Any], names: tuple[str, ...]) -> None:
    """Change the row's moments in place. Called for every row. Raises Unreadable, without the value."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and not value.endswith(PLAIN):
            try:
                row[name] = in_utc(value)
            except Unreadable:
                raise Unreadable(
                    f"The column {name} has a moment with an offset that cannot be read; without it, it would be wrong."
                ) from None


def in_utc(moment: str) -> str:
    """One without an offset means UTC already; what is no moment is for the database to refuse.

    Raises:
        Unreadable: it has an offset, and neither ISO 8601 nor RFC 5322 knows its form; or its year is not 1 to 9999.
    """
    try:
        found = datetime.fromisoformat(moment)
        return found.astimezone(UTC).isoformat() if found.tzinfo else moment
    except (ValueError, OverflowError):
        pass
    try:
        of_day = time.fromisoformat(moment)
        return datetime.combine(DAY, of_day).astimezone(UTC).time().isoformat() if of_day.tzinfo else moment
    except ValueError:
        pass
    if not OFFSET.search(moment):
        return moment
    try:
        return parsedate_to_datetime(moment).astimezone(UTC).isoformat()
    except (ValueError, OverflowError):
        raise Unreadable from None
