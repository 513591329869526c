"""Moments with an offset, told in UTC: the columns that PyAirbyte makes for them have no time zone.

Postgres and DuckDB cut an offset off, so that 10:00+05:30 would be there as 10:00, and Airbyte's moments mean UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from airbyte.types import SQLTypeConverter
from sqlalchemy.types import TIMESTAMP

PLAIN = ("Z", "+00:00")


def columns(properties: Mapping[str, Any], types: SQLTypeConverter) -> tuple[str, ...]:
    """Those of a stream's columns that hold a moment."""
    kinds = {name: types.to_sql_type(part) for name, part in properties.items()}
    return tuple(name for name, kind in kinds.items() if isinstance(kind, TIMESTAMP) and kind.timezone)


def to_utc(row: dict[str, Any], names: tuple[str, ...]) -> None:
    """Change the row's moments in place. Called for every row."""
    for name in names:
        value = row.get(name)
        if isinstance(value, str) and not value.endswith(PLAIN):
            row[name] = in_utc(value)


def in_utc(moment: str) -> str:
    """One without an offset means UTC already; what is no moment is for the database to refuse."""
    try:
        found = datetime.fromisoformat(moment)
        return found.astimezone(UTC).isoformat() if found.tzinfo else moment
    except (ValueError, OverflowError):
        return moment
