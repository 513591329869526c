"""Jobs: asked for, watched, cancelled. The supervisor executes them."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Any, get_args

from starlette.responses import JSONResponse, PlainTextResponse, Response

from airbyte_embedded import models, records
from airbyte_embedded.call import Call
from airbyte_embedded.database import Row
from airbyte_embedded.problems import bad_request

ORDER = re.compile(r"(createdAt|updatedAt)\|(ASC|DESC)")
COLUMNS = {"createdAt": "created_at", "updatedAt": "updated_at"}
TAIL = 200_000  # bytes of a log that are answered


async def list_(call: Call) -> Response:
    limit, offset = call.page()
    where, values = _filters(call)
    order = _order(call.query.get("orderBy") or "updatedAt|DESC")
    database = call.service.database
    counted = database.one(f"SELECT count(*) AS n FROM jobs j WHERE {where}", values)
    rows = database.all(
        f"SELECT * FROM jobs j WHERE {where} ORDER BY {order} LIMIT ? OFFSET ?", [*values, limit, offset]
    )
    return call.listing([document(row) for row in rows], counted["n"] if counted else 0)


def _order(wanted: str) -> str:
    found = ORDER.fullmatch(wanted)
    if not found:
        raise bad_request("orderBy must be createdAt or updatedAt, a bar, and ASC or DESC: updatedAt|DESC.")
    return f"{COLUMNS[found[1]]} {found[2]}, id {found[2]}"


def _filters(call: Call) -> tuple[str, list[Any]]:
    clauses, values = ["1"], []
    equal = {
        "connection_id": (call.query.get("connectionId") or "").lower() or None,
        "type": call.choice("jobType", get_args(models.JobType)),
        "status": call.choice("status", get_args(models.JobStatus)),
    }
    ranges = {
        "created_at >=": call.moment("createdAtStart"),
        "created_at <=": call.moment("createdAtEnd"),
        "updated_at >=": call.moment("updatedAtStart"),
        "updated_at <=": call.moment("updatedAtEnd"),
    }
    for clause, value in [*((f"{name} =", value) for name, value in equal.items()), *ranges.items()]:
        if value is not None:
            clauses.append(f"{clause} ?")
            values.append(value)
    if wanted := call.workspaces():
        marks = ", ".join("?" * len(wanted))
        clauses.append(f"connection_id IN (SELECT id FROM connections WHERE workspace_id IN ({marks}))")
        values += wanted
    return " AND ".join(clauses), values


async def create(call: Call) -> Response:
    wanted = call.parse(models.JobCreate)
    row = records.connection(call.service.database, str(wanted.connection_id))
    if wanted.job_type == "refresh":
        raise bad_request("This engine has no refresh: clear the connection, then sync it.")
    if row["status"] != "active":
        raise bad_request(f"The connection is {row['status']}.")
    identifier = call.service.supervisor.submit(row["id"], wanted.job_type)
    return JSONResponse(document(records.job(call.service.database, str(identifier))))


async def get(call: Call) -> Response:
    return JSONResponse(document(records.job(call.service.database, call.path["id"])))


async def cancel(call: Call) -> Response:
    """Nothing of the job runs when this answers. A job that had ended already stays as it is."""
    row = records.job(call.service.database, call.path["id"])
    await call.service.supervisor.cancel(row["id"])
    return JSONResponse(document(records.job(call.service.database, call.path["id"])))


async def log(call: Call) -> Response:
    """Ours, not Airbyte's: the end of the job's log, secrets masked."""
    row = records.job(call.service.database, call.path["id"])
    return PlainTextResponse(call.service.logs.tail(row["id"], TAIL))


def moment(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """ISO 8601, whole seconds: PT1H2M3S."""
    whole = max(int(seconds), 0)
    parts = [(whole // 3600, "H"), (whole // 60 % 60, "M"), (whole % 60, "S")]
    return "PT" + ("".join(f"{number}{unit}" for number, unit in parts if number) or "0S")


def document(row: Row) -> dict[str, Any]:
    """As Airbyte has it, and a reason where the job failed or was cancelled (ours)."""
    started = row["started_at"] or row["created_at"]
    answer = {
        "jobId": row["id"],
        "status": row["status"],
        "jobType": row["type"],
        "startTime": moment(started),
        "connectionId": row["connection_id"],
        "lastUpdatedAt": moment(row["updated_at"]),
        "duration": duration((row["ended_at"] or time.time()) - started),
        "bytesSynced": row["bytes"],
        "rowsSynced": row["rows"],
    }
    if row["reason"]:
        answer["failureReason"] = row["reason"]
    return answer
