"""The rows of a CSV or JSON file, checked one by one as they are read."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from file_drop.archive import Bounded, Limits
from file_drop.feeds import Broken, Feed, Whole

Row = tuple[int, list[Any]]
"""The number of the row in its file, from 1, and its values in the order of the feed's columns."""


@dataclass(frozen=True)
class Content:
    """What a member turned out to hold."""

    member: str
    sha256: str
    rows: int


def rows(archive: zipfile.ZipFile, member: zipfile.ZipInfo, feed: Feed, limits: Limits) -> Iterator[Row]:
    """Every row of a member, checked.

    Raises:
        Broken: at the first row that does not fit the feed, with its number.
    """
    yield from _rows(Bounded(archive, member, limits), member.filename, feed, limits)


def verified(archive: zipfile.ZipFile, member: zipfile.ZipInfo, feed: Feed, limits: Limits) -> Content:
    """Read a member from its first byte to its last. Raises Broken as `rows` does."""
    raw = Bounded(archive, member, limits)
    count = sum(1 for _ in _rows(raw, member.filename, feed, limits))
    return Content(member.filename, raw.digest.hexdigest(), count)


def _rows(raw: Bounded, name: str, feed: Feed, limits: Limits) -> Iterator[Row]:
    read = {".csv": _csv, ".json": _json, ".jsonl": _jsonl}[PurePosixPath(name).suffix.lower()]
    records = read(io.TextIOWrapper(io.BufferedReader(raw), encoding="utf-8-sig", newline=""), feed, limits)
    number = 0
    try:
        while True:
            number += 1
            if (record := next(records, None)) is None:
                return
            if unknown := sorted(set(record) - set(feed.columns)):
                raise Broken(f"there is no column {', '.join(map(str, unknown))}")
            yield number, [feed.value(column, record.get(column)) for column in feed.columns]
    except Whole as error:
        raise Broken(f"{name!r}: {error}") from error
    except Broken as error:
        raise Broken(f"{name!r}, row {number}: {error}") from error
    except UnicodeDecodeError as error:
        raise Broken(f"{name!r} is not in UTF-8, at row {number} or soon after") from error
    except (csv.Error, ValueError, RecursionError) as error:
        raise Broken(f"{name!r}, row {number}: it cannot be read: {error}") from error


def _csv(text: io.TextIOWrapper, feed: Feed, _: Limits) -> Iterator[dict[str, Any]]:
    reader = csv.reader(text, strict=True)
    header = next(reader, None)
    if header is None:
        raise Whole("it is empty, without even a header")
    names = [name.strip() for name in header]
    if sorted(names) != sorted(feed.columns):
        raise Whole(f"its columns are {', '.join(names)}, and should be {', '.join(feed.columns)}")
    for fields in reader:
        if len(fields) != len(names):
            raise Broken(f"it has {len(fields)} fields, and the header {len(names)}")
        yield dict(zip(names, fields, strict=True))


def _json(text: io.TextIOWrapper, _: Feed, limits: Limits) -> Iterator[dict[str, Any]]:
    whole = text.read(limits.json + 1)
    if len(whole) > limits.json:
        raise Whole(f"one .json file may have {limits.json} letters; write more as .jsonl, one object a line")
    found = _parse(whole)
    if not isinstance(found, list):
        raise Whole("it is no list of objects")
    yield from map(_object, found)


def _jsonl(text: io.TextIOWrapper, _: Feed, limits: Limits) -> Iterator[dict[str, Any]]:
    while line := text.readline(limits.json + 1):
        if len(line) > limits.json:
            raise Broken(f"a line may have {limits.json} letters")
        if line.strip():
            yield _object(_parse(line))


def _parse(text: str) -> Any:
    def refuse(word: str) -> Any:
        raise Broken(f"{word} is no JSON")

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise Broken("an object has two values for one name")
        return found

    return json.loads(text, parse_float=Decimal, parse_constant=refuse, object_pairs_hook=once)


def _object(found: Any) -> dict[str, Any]:
    if not isinstance(found, dict):
        raise Broken("it is no object")
    return found
