"""Asks Airbyte whether what is wanted would work, before anything is changed.

A source or destination that is new or changes is made under another name, asked for its streams (its connector has to
start and reach what it reads for that), and removed again. So a connector that is unknown, options that its own
specification refuses and a password that is wrong come to light while everything still is as it was. A destination is
not asked for streams, and the public API has no other check: the embedded engine makes one when a destination is made,
Airbyte's platform through its configuration API.

A connection that is new or changes is made in the same way, inactive and between those ends: each engine knows best
which namespaces, prefixes and schedules it takes.
"""

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from hangar import console
from hangar.airbyte.client import Client
from hangar.airbyte.planning import PROBE
from hangar.airbyte.records import Kind, Step, Wanted, World
from hangar.airbyte.session import AirbyteRefused
from hangar.errors import ConfigError, HangarError, Problem
from hangar.progress import Telling

CHANGING = ("create", "adopt", "update", "replace")
Probes = list[tuple[Kind, str, str]]
"""Kind, name and id of everything that was made to be tried."""

GONE = (404, 405)
"""Airbyte keeps its configuration API for itself, so a release may be without the check. The destination is there."""

KEYS = {
    "cronExpression": "schedule", "namespaceDefinition": "namespace", "namespaceFormat": "namespace",
    "nonBreakingSchemaUpdatesBehavior": "schema_changes",
}  # fmt: skip
"""The API's names for what a file calls otherwise."""


def require_workable(steps: Sequence[Step], client: Client, report: Telling) -> None:
    """Raises ConfigError with everything that Airbyte would refuse."""
    problems: list[Problem] = []
    with _probes(steps, client, problems, report) as (ids, made):
        catalogs: dict[tuple[str, str], list[dict[str, Any]] | None] = {}
        for step in steps:
            one = step.wanted
            if one and one.kind == "connection" and step.action in CHANGING:
                problems += _connection(one, ids, client, catalogs, made, report)
        for key, id in ids.items():
            name = key.removeprefix("source/")
            if (
                key.startswith("source/")
                and _is_new(steps, key)
                and all(source != id for source, _ in catalogs)
            ):
                report(f"ask {name} for its streams")
                problems += _asked(client, name, id, "", catalogs)
    if problems:
        raise ConfigError("What pipelines/ declares", problems, "Mend it and run the same command again.")


def remove_leftovers(world: World, client: Client) -> None:
    """Removes the probes of a killed call, and forgets what is ours and gone."""
    for key in world.entries:
        kind, name = _split(key)
        found = world.ours(kind, name)
        if name.startswith(PROBE) or found is None:
            client.delete(kind, name, found.id if found else "")
        elif world.entries[key].id is None:
            client.note(kind, name, found.id)


def _split(key: str) -> tuple[Kind, str]:
    kind, _, name = key.partition("/")
    return kind, name  # type: ignore[return-value]  # the record's keys begin with a kind


def _is_new(steps: Sequence[Step], key: str) -> bool:
    return any(f"{step.kind}/{step.name}" == key and step.action in CHANGING for step in steps)


@contextmanager
def _probes(
    steps: Sequence[Step], client: Client, problems: list[Problem], report: Telling
) -> Iterator[tuple[dict[str, str], Probes]]:
    """`kind/name` → id of every source and destination: the one that stays, or the probe of the one that changes.
    What is added to the list of probes is removed with them.
    """
    ids: dict[str, str] = {}
    made: Probes = []
    try:
        for step in steps:
            one = step.wanted
            if one is None or one.kind == "connection":
                continue
            if step.action not in CHANGING:
                ids[one.key] = step.found.id if step.found else ""
                continue
            report(f"try the {one.kind} {one.name}")
            if id := _tried(one, {}, client, made, problems):
                ids[one.key] = id
                if one.kind == "destination":
                    problems += _checked(one, id, client)
        yield ids, made
    except HangarError:
        _remove(made, client)
        raise
    # Not when interrupted: an answer may still be on its way. The next apply removes what is left (remove_leftovers).
    _remove(made, client)


def _tried(
    one: Wanted, ends: Mapping[str, str], client: Client, made: Probes, problems: list[Problem]
) -> str | None:
    """The id of a probe, or None and a problem with Airbyte's own words."""
    name = PROBE + one.name
    try:
        id = client.create(one, name, (), ends)
    except AirbyteRefused as refused:
        if refused.status >= 500:
            raise
        said = _in_our_words(refused.said) if one.kind == "connection" else refused.said
        problems.append(Problem(f"{one.kind}s.{one.name}", f"Airbyte refuses it: {said}"))
        return None
    made.append((one.kind, name, id))
    return id


def _checked(one: Wanted, id: str, client: Client) -> list[Problem]:
    try:
        said = client.failing(id)
    except AirbyteRefused as refused:
        if refused.status not in GONE:
            raise
        console.note(f"Airbyte has no check of destinations any more: the first sync tries {one.name}.")
        return []
    return [Problem(f"destinations.{one.name}", f"its connector fails: {said}")] if said else []


def _in_our_words(said: str) -> str:
    return re.sub("|".join(KEYS), lambda found: f"{KEYS[found[0]]} ({found[0]})", said)


def _remove(made: Probes, client: Client) -> None:
    """A connection before its ends, which were made first."""
    for kind, name, id in reversed(made):
        client.delete(kind, name, id)


def _asked(
    client: Client, name: str, source: str, destination: str,
    catalogs: dict[tuple[str, str], list[dict[str, Any]] | None],
) -> list[Problem]:  # fmt: skip
    """Fills in the catalog of a source; a problem where the source does not give one."""
    known = [pair for pair, catalog in catalogs.items() if pair[0] == source and catalog is None]
    if (source, destination) in catalogs or known:
        catalogs.setdefault((source, destination), None)
        return []
    try:
        catalogs[source, destination] = client.streams(source, destination or None)
    except AirbyteRefused as refused:
        catalogs[source, destination] = None
        return [Problem(f"sources.{name}", f"its connector fails: {refused.said}")]
    return []


def _connection(
    one: Wanted, ids: Mapping[str, str], client: Client,
    catalogs: dict[tuple[str, str], list[dict[str, Any]] | None], made: Probes, report: Telling,
) -> list[Problem]:  # fmt: skip
    source = ids.get(f"source/{one.fixed['source']}")
    destination = ids.get(f"destination/{one.fixed['destination']}")
    if not source or not destination:
        return []  # the end's own problem is told already
    report(f"ask {one.fixed['source']} for its streams")
    problems = _asked(client, one.fixed["source"], source, destination, catalogs)
    catalog = catalogs[source, destination]
    if catalog is None:
        return problems
    fitting = []
    for stream in one.body["configurations"]["streams"]:
        misfits = [*_fit(one, stream, catalog)]
        problems += misfits
        fitting += [] if misfits else [stream]
    report(f"try the connection {one.name}")
    # What is wrong with a stream is told already, and must not hide what else is.
    body = {**one.body, "status": "inactive", "configurations": {"streams": fitting}}
    ends = {"sourceId": source, "destinationId": destination}
    _tried(replace(one, body=body), ends, client, made, problems)
    return problems


def _fit(one: Wanted, stream: Mapping[str, Any], catalog: Sequence[Mapping[str, Any]]) -> Iterator[Problem]:
    at = f"connections.{one.name}.streams.{stream['name']}"
    # A source may have one name in several namespaces.
    alike = [there for there in catalog if there["streamName"] == stream["name"]]
    if alike:
        named = [there for there in alike if there.get("streamnamespace") == stream.get("namespace")]
        yield from _stream(at, stream, (named or alike)[0])
    else:
        right = _meant(stream["name"], sorted({str(there["streamName"]) for there in catalog}))
        yield Problem(at, f"the source {one.fixed['source']} has no such stream; {right}")


def _meant(name: str, there: Sequence[str]) -> str:
    close = difflib.get_close_matches(name, there, n=1)
    return f'did you mean "{close[0]}"?' if close else f"one of {', '.join(there) or 'none'} would be right"


def _stream(at: str, stream: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[Problem]:
    """What the source says against a stream's options; what it does not say is not held against them."""
    mode = stream["syncMode"]
    modes = there.get("syncModes") or [mode]
    if mode not in modes:
        yield Problem(f"{at}.sync_mode", f'"{mode}" is not offered; one of {", ".join(modes)} would be right')
    knows_cursor = there.get("sourceDefinedCursorField") or there.get("defaultCursorField")
    if mode.startswith("incremental") and not stream.get("cursorField") and not knows_cursor:
        yield Problem(
            f"{at}.cursor", "is missing, and the source has none of its own; a column would be right"
        )
    if "dedup" in mode and not stream.get("primaryKey") and not there.get("sourceDefinedPrimaryKey"):
        yield Problem(
            f"{at}.primary_key", "is missing, and the source has none of its own; columns would be right"
        )
    columns = there.get("propertyFields") or []
    for key, given in (
        ("cursor", [stream["cursorField"]] if "cursorField" in stream else []),
        ("primary_key", stream.get("primaryKey", [])),
        ("fields", [one["fieldPath"] for one in stream.get("selectedFields", [])]),
    ):
        for path in given:
            if columns and path not in columns:
                names = [".".join(column) for column in columns]
                yield Problem(
                    f"{at}.{key}", f'there is no column "{".".join(path)}"; {_meant(".".join(path), names)}'
                )
