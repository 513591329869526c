"""Connections: which streams of a source go to which destination, how, and when."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any

from starlette.responses import JSONResponse, Response

from airbyte_embedded import catalog, destinations, models, records, schedule
from airbyte_embedded.api import streams
from airbyte_embedded.call import Call
from airbyte_embedded.database import Row
from airbyte_embedded.destinations import IDENTIFIER, PREFIX
from airbyte_embedded.problems import Problem, bad_request
from airbyte_embedded.service import Service

Json = dict[str, Any]


async def list_(call: Call) -> Response:
    limit, offset = call.page()
    wanted = call.workspaces()
    if call.query.get("tagIds"):
        raise bad_request("tagIds is not supported by this engine.")
    where = "(deleted_at IS NULL OR ?)"
    where += f" AND workspace_id IN ({', '.join('?' * len(wanted))})" if wanted else ""
    values = [call.flag("includeDeleted"), *wanted]
    counted = call.service.database.one(f"SELECT count(*) AS n FROM connections WHERE {where}", values)
    rows = call.service.database.all(
        f"SELECT * FROM connections WHERE {where} ORDER BY created_at, rowid LIMIT ? OFFSET ?",
        [*values, limit, offset],
    )
    return call.listing([document(row) for row in rows], counted["n"] if counted else 0)


async def create(call: Call) -> Response:
    wanted = call.parse(models.ConnectionCreate)
    database = call.service.database
    source = records.source(database, str(wanted.source_id))
    destination = records.destination(database, str(wanted.destination_id))
    if source["workspace_id"] != destination["workspace_id"]:
        raise bad_request("The source and the destination stand in different workspaces.")
    body: Json = {
        "schedule": {"scheduleType": "manual"},
        "namespaceDefinition": "destination",
        "prefix": "",
        "nonBreakingSchemaUpdatesBehavior": "ignore",
        "tags": [],
    }
    offered = await streams.offered_by(call.service, source)
    records.destination(database, destination["id"])  # it may be gone since; of the source that was looked at
    chosen = wanted.configurations.streams if wanted.configurations else None
    body = _changed(body, wanted)
    await _require_schema(call.service, destination, body)
    longest = destinations.find(destination["type"], None).longest_name
    body["streams"] = catalog.configured(chosen, offered, body["prefix"], longest)
    identifier = str(uuid.uuid4())
    status = _status(wanted) or "active"
    database.insert(
        "connections",
        {
            "id": identifier,
            "workspace_id": source["workspace_id"],
            "source_id": source["id"],
            "destination_id": destination["id"],
            "name": wanted.name or f"{source['name']} → {destination['name']}",
            "body": json.dumps(body),
            "known_columns": json.dumps(catalog.known_columns(body["streams"], offered)),
            "status": status,
            "next_run": _due(body, status),
            "created_at": int(time.time()),
        },
    )
    call.service.supervisor.wake()
    return JSONResponse(document(records.connection(database, identifier)))


async def get(call: Call) -> Response:
    return JSONResponse(document(records.connection(call.service.database, call.path["id"])))


async def patch(call: Call) -> Response:
    database = call.service.database
    row = records.connection(database, call.path["id"])
    wanted = call.parse(models.ConnectionPatch)
    values: Json = {"name": wanted.name} if wanted.name else {}
    chosen: Json = {}
    if wanted.configurations and wanted.configurations.streams is not None:
        # what is refused anyway needs no source to be asked
        prefix = _changed(json.loads(row["body"]), wanted)["prefix"]
        # asked again: a column that appeared since becomes known only by a change like this one
        source = records.source(database, row["source_id"])
        offered = await streams.offered_by(call.service, source, fresh=True)
        destination = records.destination(database, row["destination_id"])
        longest = destinations.find(destination["type"], None).longest_name
        chosen["streams"] = catalog.configured(wanted.configurations.streams, offered, prefix, longest)
        values["known_columns"] = json.dumps(catalog.known_columns(chosen["streams"], offered))
        row = records.connection(database, row["id"])  # as others left it meanwhile
    if wanted.namespace_definition or wanted.namespace_format:
        given = _changed(json.loads(row["body"]), wanted)
        if _schema(given) != _schema(json.loads(row["body"])):
            destination = records.destination(database, row["destination_id"])
            await _require_schema(call.service, destination, given)
            row = records.connection(database, row["id"])  # as others left it meanwhile
    body = _changed(json.loads(row["body"]), wanted) | chosen
    if status := _status(wanted):
        values["status"] = status
    # its schedule was read again just now
    values |= {
        "body": json.dumps(body), "next_run": _due(body, status or row["status"]), "status_reason": None
    }  # fmt: skip
    database.update("connections", row["id"], values)
    call.service.supervisor.wake()
    return JSONResponse(document(records.connection(database, row["id"])))


async def delete(call: Call) -> Response:
    row = records.connection(call.service.database, call.path["id"])
    await remove_where(call.service, "id = ?", (row["id"],))
    return Response(status_code=204)


async def remove_where(service: Service, condition: str, values: tuple[str, ...]) -> None:
    """Delete the connections; their unfinished jobs are cancelled. `condition` is ours, never a request's."""
    rows = service.database.all(
        f"SELECT id FROM connections WHERE {condition} AND deleted_at IS NULL", values
    )
    for row in rows:
        # first the mark, so that no schedule starts another job meanwhile
        service.database.update("connections", row["id"], {"deleted_at": int(time.time()), "next_run": None})
        await service.supervisor.cancel_connection(row["id"])


def document(row: Row) -> Json:
    body = json.loads(row["body"])
    answer = {
        "connectionId": row["id"],
        "name": row["name"],
        "sourceId": row["source_id"],
        "destinationId": row["destination_id"],
        "workspaceId": row["workspace_id"],
        "status": "deprecated" if row["deleted_at"] else row["status"],
        "schedule": body["schedule"],
        "configurations": {"streams": body["streams"]},
        "createdAt": row["created_at"],
        "tags": body["tags"],
    }
    for name in ("nonBreakingSchemaUpdatesBehavior", "namespaceDefinition", "namespaceFormat", "prefix"):
        if body.get(name) is not None:
            answer[name] = body[name]
    if row["status_reason"]:
        answer["statusReason"] = row["status_reason"]
    return answer


def _status(wanted: models.ConnectionFields) -> str | None:
    if wanted.status in ("deprecated", "locked"):
        raise bad_request("A connection is active or inactive; DELETE removes it.")
    return wanted.status


def _changed(body: Json, wanted: models.ConnectionFields) -> Json:
    """The connection's settings with what the client named. Raises Problem 400 for what this engine cannot do."""
    given = wanted.document()
    plain = (
        "schedule",
        "namespaceDefinition",
        "namespaceFormat",
        "prefix",
        "nonBreakingSchemaUpdatesBehavior",
        "tags",
    )
    changed = body | {name: given[name] for name in plain if name in given}
    faults = [*_faults(changed)]
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise bad_request(" ".join(fault.detail for fault in faults))
    return changed


def _faults(body: Json) -> Iterator[Problem]:
    """Every setting that this engine cannot keep."""
    if body["schedule"]["scheduleType"] == "cron":
        try:
            schedule.parse(body["schedule"].get("cronExpression"))
        except Problem as problem:
            yield problem
    if body["nonBreakingSchemaUpdatesBehavior"] not in ("ignore", "propagate_columns"):
        yield bad_request(
            "nonBreakingSchemaUpdatesBehavior can be ignore or propagate_columns with this engine."
        )
    if not PREFIX.fullmatch(body["prefix"]):
        yield bad_request("prefix may hold small letters, digits and _, up to 40 of them.")
    if body["namespaceDefinition"] == "source":
        yield bad_request(
            "namespaceDefinition source is not supported by this engine: destination or custom_format."
        )
    named = body.get("namespaceFormat")
    if body["namespaceDefinition"] == "custom_format" and not (named and re.fullmatch(IDENTIFIER, named)):
        yield bad_request("namespaceFormat must be a plain schema name: small letters, digits and _.")


def _schema(body: Json) -> str | None:
    """The schema of the connection's own; None for the destination's."""
    return body.get("namespaceFormat") if body["namespaceDefinition"] == "custom_format" else None


async def _require_schema(service: Service, destination: Row, body: Json) -> None:
    """The destination was checked for its own schema. Raises Problem 400 where another one cannot be written to."""
    if schema := _schema(body):
        configuration = service.vault.open(destination["configuration"])
        kind = destinations.find(destination["type"], None)
        await destinations.check(service.settings, kind, configuration | {"schema": schema})


def _due(body: Json, status: str) -> float | None:
    """When the connection runs by itself next; never, unless it has a schedule and is active."""
    if body["schedule"]["scheduleType"] != "cron" or status != "active":
        return None
    return schedule.following(body["schedule"]["cronExpression"], time.time())
