"""Workspaces: a name under which sources, destinations and connections stand together."""

from __future__ import annotations

import json
import time
import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from airbyte_embedded import models, records
from airbyte_embedded.api import connections
from airbyte_embedded.call import Call
from airbyte_embedded.database import Database, Row

FIRST = "Default Workspace"


def ensure_one(database: Database) -> None:
    """A fresh installation has a workspace, as Airbyte's has."""
    if database.one("SELECT 1 FROM workspaces") is None:
        insert(database, FIRST, {})


def insert(database: Database, name: str, notifications: dict[str, Any]) -> str:
    identifier = str(uuid.uuid4())
    values = {"id": identifier, "name": name, "notifications": json.dumps(notifications)}
    database.insert("workspaces", values | {"created_at": int(time.time())})
    return identifier


async def list_(call: Call) -> Response:
    limit, offset = call.page()
    wanted = call.workspaces()
    where = "(deleted_at IS NULL OR ?)" + (f" AND id IN ({', '.join('?' * len(wanted))})" if wanted else "")
    values = [call.flag("includeDeleted"), *wanted]
    counted = call.service.database.one(f"SELECT count(*) AS n FROM workspaces WHERE {where}", values)
    rows = call.service.database.all(
        f"SELECT * FROM workspaces WHERE {where} ORDER BY created_at, rowid LIMIT ? OFFSET ?",
        [*values, limit, offset],
    )
    return call.listing([document(row) for row in rows], counted["n"] if counted else 0)


async def create(call: Call) -> Response:
    wanted = call.parse(models.WorkspaceCreate)
    notifications = wanted.notifications.document() if wanted.notifications else {}
    identifier = insert(call.service.database, wanted.name, notifications)
    return JSONResponse(document(records.workspace(call.service.database, identifier)))


async def get(call: Call) -> Response:
    return JSONResponse(document(records.workspace(call.service.database, call.path["id"])))


async def update(call: Call) -> Response:
    database = call.service.database
    row = records.workspace(database, call.path["id"])
    wanted = call.parse(models.WorkspaceUpdate)
    notifications = json.loads(row["notifications"])
    if wanted.notifications:
        notifications |= wanted.notifications.document()
    changed = {"name": wanted.name or row["name"], "notifications": json.dumps(notifications)}
    database.update("workspaces", row["id"], changed)
    return JSONResponse(document(records.workspace(database, row["id"])))


async def delete(call: Call) -> Response:
    """The workspace and all that stands in it; what runs is cancelled first."""
    database = call.service.database
    row = records.workspace(database, call.path["id"])
    await connections.remove_where(call.service, "workspace_id = ?", (row["id"],))
    now = int(time.time())
    with database.transaction():
        database.run(
            "UPDATE actors SET deleted_at = ? WHERE workspace_id = ? AND deleted_at IS NULL", (now, row["id"])
        )
        database.update("workspaces", row["id"], {"deleted_at": now})
    return Response(status_code=204)


def document(row: Row) -> dict[str, Any]:
    return {
        "workspaceId": row["id"],
        "name": row["name"],
        "dataResidency": "auto",
        "notifications": json.loads(row["notifications"]),
    }
