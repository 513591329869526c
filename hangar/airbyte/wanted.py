"""Declared → Wanted: what Airbyte is to hold, flat enough to be compared and whole enough to be sent."""

import json
from collections.abc import Mapping
from typing import Any

from hangar.airbyte.load import Declared
from hangar.airbyte.model import Connection, Destination, Source, Stream, is_reference, references
from hangar.airbyte.records import Kind, Wanted


def wanted(declared: Declared) -> tuple[Wanted, ...]:
    """Every resource, in the order in which they can be made."""
    return (
        *(_actor("source", name, source) for name, source in declared.sources.items()),
        *(_actor("destination", name, destination) for name, destination in declared.destinations.items()),
        *(_connection(name, connection) for name, connection in declared.connections.items()),
    )


def _actor(kind: Kind, name: str, actor: Source | Destination) -> Wanted:
    configuration = {**actor.configuration, f"{kind}Type": actor.connector}
    return Wanted(
        kind, name,
        fixed={"connector": actor.connector},
        fields=flatten(actor.configuration, "configuration") if actor.configuration else {},
        body={"name": name, "configuration": configuration},
    )  # fmt: skip


def _connection(name: str, connection: Connection) -> Wanted:
    fields: dict[str, Any] = {
        "schedule": connection.schedule,
        "namespace": connection.namespace,
        "prefix": connection.prefix,
        "schema_changes": connection.schema_changes,
        "enabled": connection.enabled,
    }
    for stream, options in connection.streams.items():
        given = options.model_dump(exclude_none=True)
        fields |= {f"streams.{stream}.{key}": as_lists(value) for key, value in given.items()}
    body = {
        "name": name,
        "schedule": _schedule(connection.schedule),
        **_namespace(connection.namespace),
        "prefix": connection.prefix,
        "nonBreakingSchemaUpdatesBehavior": connection.schema_changes,
        "status": "active" if connection.enabled else "inactive",
        "configurations": {"streams": [_stream(name, stream) for name, stream in connection.streams.items()]},
    }
    fixed = {"source": connection.source, "destination": connection.destination}
    return Wanted("connection", name, fixed, fields, body)


def _schedule(schedule: str) -> dict[str, str]:
    if schedule == "manual":
        return {"scheduleType": "manual"}
    return {"scheduleType": "cron", "cronExpression": schedule}


def _namespace(namespace: str) -> dict[str, str]:
    if namespace in ("source", "destination"):
        return {"namespaceDefinition": namespace}
    return {"namespaceDefinition": "custom_format", "namespaceFormat": namespace}


def _stream(name: str, stream: Stream) -> dict[str, Any]:
    found: dict[str, Any] = {"name": name, "syncMode": stream.sync_mode}
    if stream.namespace is not None:
        found["namespace"] = stream.namespace
    if stream.cursor is not None:
        found["cursorField"] = list(stream.cursor)
    if stream.primary_key is not None:
        found["primaryKey"] = as_lists(stream.primary_key)
    if stream.fields is not None:
        found["selectedFields"] = [{"fieldPath": list(path)} for path in stream.fields]
    return found


def as_lists(value: Any) -> Any:
    """JSON knows no tuples."""
    return [as_lists(one) for one in value] if isinstance(value, tuple | list) else value


def flatten(value: Any, at: str, *, both: bool = False) -> dict[str, Any]:
    """Place → value. A list is one value, unless a secret stands in it; `both` gives it as a whole and in parts."""
    if isinstance(value, dict) and value and not is_reference(value):
        return {
            place: found
            for key, below in value.items()
            for place, found in flatten(below, f"{at}.{key}", both=both).items()
        }
    if isinstance(value, list) and (both or references(value)):
        parts = {
            place: found
            for number, below in enumerate(value)
            for place, found in flatten(below, f"{at}.{number}", both=both).items()
        }
        return {at: value, **parts} if both else parts
    return {at: value}


def found_fields(kind: Kind, answer: Mapping[str, Any]) -> dict[str, Any]:
    """What Airbyte answers about a resource, in the words of `Wanted.fields`. What it leaves out is its default."""
    if kind != "connection":
        configuration = {key: one for key, one in answer["configuration"].items() if key != f"{kind}Type"}
        return flatten(configuration, "configuration", both=True) if configuration else {}
    schedule = answer.get("schedule") or {}
    cron = str(schedule.get("cronExpression") or "").removesuffix(" UTC")
    timing = schedule.get("basicTiming") or cron or schedule.get("scheduleType", "manual")
    definition = answer.get("namespaceDefinition") or "destination"
    fields: dict[str, Any] = {
        "schedule": "manual" if schedule.get("scheduleType") == "manual" else timing,
        "namespace": (answer.get("namespaceFormat") or "") if definition == "custom_format" else definition,
        "prefix": answer.get("prefix") or "",
        "schema_changes": answer.get("nonBreakingSchemaUpdatesBehavior") or "ignore",
        "enabled": answer.get("status", "active") == "active",
    }
    for stream in (answer.get("configurations") or {}).get("streams") or ():
        fields |= _found_stream(stream)
    return fields


def _found_stream(stream: Mapping[str, Any]) -> dict[str, Any]:
    selected = [one["fieldPath"] for one in stream.get("selectedFields") or ()]
    found = {
        "sync_mode": stream.get("syncMode") or "full_refresh_overwrite",
        "namespace": stream.get("namespace"),
        "cursor": stream.get("cursorField"),
        "primary_key": stream.get("primaryKey"),
        "fields": selected,
    }
    return {f"streams.{stream['name']}.{key}": value for key, value in found.items() if value}


def words(value: Any) -> str:
    """A value as a plan shows it."""
    if is_reference(value):
        return f"secret {value['secret']}"
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
