"""What may be dropped: feeds.yml, and how a value of each type is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml

NAME = re.compile(r"[a-z][a-z0-9_]{0,50}")
"""Of a feed or a column: both become names in Postgres, which has room for 63 letters."""
BIGINT = 2**63
DIGITS, DECIMALS = 131_072, 16_383
"""Of a numeric, before and after the point."""


class Broken(Exception):
    """A file that is not loaded, and why, in a sentence for the one who dropped it."""


class Whole(Broken):
    """Wrong with a member as a whole, not with one of its rows."""


def plain(text: str) -> str:
    """Python reads 2024_01 as 202401; whoever wrote it meant no number."""
    if "_" in text:
        raise ValueError
    return text


def integer(text: str) -> int:
    value = int(plain(text))
    if not -BIGINT <= value < BIGINT:
        raise ValueError
    return value


def numeric(text: str) -> Decimal:
    value = Decimal(plain(text))
    if not value.is_finite() or value.adjusted() >= DIGITS or int(value.as_tuple().exponent) < -DECIMALS:
        raise ValueError
    return value


def letters(text: str) -> str:
    """JSON can hold one half of a letter (U+D800), which no database takes."""
    text.encode()
    return text


def boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def timestamp(text: str) -> datetime:
    """ISO 8601; without a zone it means UTC."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


READ: dict[str, Callable[[str], Any]] = {
    "text": letters, "integer": integer, "numeric": numeric, "boolean": boolean, "date": date.fromisoformat,
    "timestamp": timestamp,
}  # fmt: skip
IN_POSTGRES = {"integer": "bigint", "timestamp": "timestamptz"}
"""Of the types that Postgres calls otherwise."""


@dataclass(frozen=True)
class Feed:
    name: str
    files: str
    columns: dict[str, str]
    required: frozenset[str]

    def value(self, column: str, given: Any) -> Any:
        """The value as Postgres takes it; nothing, in CSV an empty field, is NULL.

        Raises:
            Broken: it is not of the column's type, or missing where it is required.
        """
        if given is None or given == "":
            if column in self.required:
                raise Broken(f"{column} is empty")
            return None
        if isinstance(given, bool):
            given = str(given).lower()
        if not isinstance(given, str | int | Decimal) or "\0" in (text := str(given)):
            raise Broken(f"{column} holds {shown(given)}, which is no {self.columns[column]}")
        try:
            return READ[self.columns[column]](text)
        except (ValueError, KeyError, InvalidOperation) as error:
            raise Broken(f"{column} holds {shown(given)}, which is no {self.columns[column]}") from error


def shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:40]}…"


def read(path: Path) -> list[Feed]:
    """The feeds of a file.

    Raises:
        ValueError: one that cannot be; the DAG then fails to import, and says why.
    """
    return [feed(name, entry) for name, entry in (yaml.safe_load(path.read_text()) or {}).items()]


def feed(name: str, entry: dict[str, Any]) -> Feed:
    columns, required = entry["columns"], frozenset(entry.get("required", ()))
    wrong = [part for part in (name, *columns) if not NAME.fullmatch(part)]
    if wrong:
        raise ValueError(f"{name}: {', '.join(wrong)}: small letters, digits and _ only")
    if unknown := sorted(set(columns.values()) - set(READ)):
        raise ValueError(f"{name}: there is no type {', '.join(unknown)}; there are {', '.join(READ)}")
    if unknown := sorted(required - set(columns)):
        raise ValueError(f"{name}: required columns that are no columns: {', '.join(unknown)}")
    return Feed(name, str(entry["files"]), dict(columns), required)


def feed_of(name: str, feeds: list[Feed]) -> Feed:
    """The feed that a file's name belongs to.

    Raises:
        Broken: none does.
    """
    for candidate in feeds:
        if fnmatchcase(name, candidate.files):
            return candidate
    wanted = ", ".join(f"{feed.files} ({feed.name})" for feed in feeds)
    raise Broken(f"no feed takes a file of this name; these are taken: {wanted}")
