"""Streams: what a source offers, what a connection asks of them, and whether the two fit."""

from __future__ import annotations

import re
from typing import Any

from airbyte_embedded.models import Stream
from airbyte_embedded.problems import bad_request

Json = dict[str, Any]
USUAL_MODE = "full_refresh_overwrite"
# The others are for data activation (reverse ETL), which PyAirbyte's caches have no counterpart for
FULL = ("full_refresh_overwrite", "full_refresh_append", "full_refresh_overwrite_deduped")
OWN = "_airbyte_"
OWN_COLUMNS = tuple(f"{OWN}{name}" for name in ("raw_id", "extracted_at", "meta"))
"""What PyAirbyte adds to every row, in place of what the source has there."""
INCREMENTAL = ("incremental_append", "incremental_deduped_history")


def modes(offered: Json) -> list[str]:
    """The sync modes that this engine can execute for a stream. As with Airbyte's platform they follow from what the
    source and the destination support: a key that the source does not define is the connection's to name.
    """
    supported = offered.get("supported_sync_modes") or ["full_refresh"]
    return [
        *(FULL if "full_refresh" in supported else ()),
        *(INCREMENTAL if "incremental" in supported else ()),
    ]


def columns(offered: Json) -> list[str]:
    return list(offered.get("json_schema", {}).get("properties", {}))


def known_columns(made: list[Json], offered: list[Json]) -> dict[str, list[str]]:
    """Stream → the columns that it has now, of those of a connection."""
    spaces = {stream["name"]: stream.get("namespace") for stream in made}
    return {
        stream["name"]: columns(stream)
        for stream in offered
        if stream["name"] in spaces and (stream.get("namespace") or None) == spaces[stream["name"]]
    }


def properties(offered: Json) -> Json:
    """As `GET /streams` has it."""
    answer = {
        "streamName": offered["name"],
        "syncModes": modes(offered),
        "defaultCursorField": offered.get("default_cursor_field") or [],
        "sourceDefinedCursorField": bool(offered.get("source_defined_cursor")),
        "sourceDefinedPrimaryKey": offered.get("source_defined_primary_key") or [],
        "propertyFields": [[name] for name in columns(offered)],
    }
    if offered.get("namespace"):
        answer["streamnamespace"] = offered["namespace"]
    return answer


def written(name: str, longest: int | None = None) -> str:
    """What PyAirbyte calls a table or column of this name: two of them must not be called the same."""
    plain = re.sub(r"[^a-z0-9_]", "_", name.lower())
    return ("_" + plain if plain[:1].isdigit() else plain)[:longest]


def configured(
    wanted: list[Stream] | None, offered: list[Json], prefix: str = "", longest: int | None = None
) -> list[Json]:
    """The streams of a connection, every choice made. `longest`: letters that the destination takes of a name.

    Raises Problem 400 with every misfit.
    """
    known: dict[str, list[Json]] = {}
    for one in offered:
        known.setdefault(one["name"], []).append(one)
    chosen = wanted if wanted is not None else [Stream(name=name) for name in known]
    faults: list[str] = []
    made = []
    for stream in chosen:
        if stream.name not in known:
            faults.append(
                f"{stream.name}: the source has no such stream; it has {', '.join(sorted(known))[:500]}"
            )
            continue
        alike = known[stream.name]
        spaces = [str(one.get("namespace")) for one in alike]
        if len(alike) > 1 and stream.namespace not in spaces:
            faults.append(f"{stream.name}: the source has it in the namespaces {', '.join(spaces)}: name one")
            continue
        meant = next((one for one in alike if one.get("namespace") == stream.namespace), alike[0])
        found = [*_misfits(stream, meant), *_names(stream, meant, prefix, longest)]
        faults += [f"{stream.name}: {fault}" for fault in found]
        made.append(_complete(stream, meant))
    tables = [written(stream.name, longest) for stream in chosen]
    faults += [
        f"{name}: two streams would be written to this table" for name in {*tables} if tables.count(name) > 1
    ]
    if faults:
        raise bad_request("; ".join(faults[:20]))
    return made


def _names(stream: Stream, offered: Json, prefix: str, longest: int | None) -> list[str]:
    """What would be lost without a word, or fail in the middle of a job, for what it is called."""
    faults = []
    if not written(prefix + stream.name).strip("_"):
        faults.append("a table needs a letter or digit of ASCII in its name: give the connection a prefix")
    if written(prefix + stream.name).startswith(OWN):
        faults.append(
            f"tables whose names begin with {OWN} are the engine's own: give the connection a prefix"
        )
    # PyAirbyte fills a table beside it, whose name is longer
    if longest and len(table := written(prefix + stream.name)) >= longest:
        faults.append(
            f"a table may have {longest - 1} letters with this destination, and {table} has {len(table)}"
        )
    selected = stream.selected_fields
    names = columns(offered) if selected is None else [field.field_path[0] for field in selected]
    called: dict[str, list[str]] = {}
    for name in dict.fromkeys(names):
        called.setdefault(written(name, longest), []).append(name)
    faults += [
        f"{' and '.join(alike)} would both be written to the column {column}: select one of them"
        for column, alike in called.items() if len(alike) > 1
    ]  # fmt: skip
    faults += [
        f"the column {column} is the engine's own: select the other fields"
        for column in called if column in OWN_COLUMNS
    ]  # fmt: skip
    faults += [
        f"a field called {name!r} cannot be a column: select the others"
        for column, (name, *_) in called.items() if not column.strip("_")
    ]  # fmt: skip
    return faults


def _key(stream: Stream, offered: Json) -> list[list[str]]:
    return stream.primary_key or offered.get("source_defined_primary_key") or []


def _cursor(stream: Stream, offered: Json) -> list[str]:
    return stream.cursor_field or offered.get("default_cursor_field") or []


def _complete(stream: Stream, offered: Json) -> Json:
    made: Json = {"name": stream.name, "syncMode": stream.sync_mode or USUAL_MODE, "mappers": []}
    if offered.get("namespace"):
        made["namespace"] = offered["namespace"]
    if cursor := _cursor(stream, offered):
        made["cursorField"] = cursor
    if key := _key(stream, offered):
        made["primaryKey"] = key
    if stream.selected_fields is not None:
        made["selectedFields"] = [field.document() for field in stream.selected_fields]
    return made


def _misfits(stream: Stream, offered: Json) -> list[str]:
    faults = []
    key, cursor = _key(stream, offered), _cursor(stream, offered)
    mode = stream.sync_mode or USUAL_MODE
    possible = modes(offered)
    if mode not in possible:
        faults.append(f"the mode {mode} is not possible here; possible are {', '.join(possible)}")
    fixed = offered.get("source_defined_primary_key")
    if stream.primary_key and fixed and stream.primary_key != fixed:
        faults.append("the source defines the primary key itself")
    if (
        offered.get("source_defined_cursor")
        and stream.cursor_field
        and cursor != offered.get("default_cursor_field")
    ):
        faults.append("the source defines the cursor itself")
    if mode.startswith("incremental") and not cursor and not offered.get("source_defined_cursor"):
        faults.append("an incremental mode needs a cursorField")
    if "dedup" in mode and not key:
        faults.append("a deduped mode needs a primaryKey")
    if any(len(path) != 1 for path in [*key, *([cursor] if cursor else [])]):
        faults.append("a key or cursor inside a nested field is not supported by this engine")
    if stream.namespace and stream.namespace != offered.get("namespace"):
        faults.append(f"the source has no namespace {stream.namespace}")
    unsupported = {"mappers": stream.mappers, "includeFiles": stream.include_files,
                   "destinationObjectName": stream.destination_object_name}  # fmt: skip
    faults += [f"{name} is not supported by this engine" for name, value in unsupported.items() if value]
    return faults + _selection_misfits(stream, offered, [*[path[0] for path in key], *cursor[:1]])


def _selection_misfits(stream: Stream, offered: Json, needed: list[str]) -> list[str]:
    known = columns(offered)
    faults = [f"there is no field {path}" for path in needed if known and path not in known]
    if stream.selected_fields is None:
        return faults
    selected = [field.field_path for field in stream.selected_fields]
    faults += [f"there is no field {'.'.join(path)} to select" for path in selected if path[0] not in known]
    if any(len(path) != 1 for path in selected):
        faults.append("only whole top-level fields can be selected with this engine")
    lacking = [name for name in needed if [name] not in selected]
    if lacking:
        faults.append(f"the selection leaves out {', '.join(lacking)}, which the key or cursor needs")
    return faults
