"""Tokens, and the clients that may ask for them."""

from __future__ import annotations

import secrets
import time
import uuid
from typing import Any

from starlette.responses import JSONResponse, Response

from airbyte_embedded import auth, models, records
from airbyte_embedded.call import Call, parse_token_request
from airbyte_embedded.database import Row
from airbyte_embedded.vault import MASK


async def token(call: Call) -> Response:
    wanted = parse_token_request(call, models.TokenRequest)
    tokens = call.service.tokens
    issued = tokens.issue(wanted.client_id, wanted.client_secret)
    answer = {"access_token": issued, "token_type": "Bearer", "expires_in": tokens.seconds}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def list_(call: Call) -> Response:
    rows = call.service.database.all("SELECT * FROM applications ORDER BY created_at, id")
    return JSONResponse({"applications": [document(row) for row in rows]})


async def create(call: Call) -> Response:
    """The secret is in this answer and in none after it: only its hash is kept."""
    wanted = call.parse(models.ApplicationCreate)
    secret = secrets.token_urlsafe(32)
    identifier = str(uuid.uuid4())
    call.service.database.insert(
        "applications",
        {
            "id": identifier,
            "name": wanted.name,
            "client_id": str(uuid.uuid4()),
            "secret_sha256": auth.digest(secret),
            "scope": wanted.scope,
            "created_at": int(time.time()),
        },
    )
    answer = document(records.application(call.service.database, identifier)) | {"clientSecret": secret}
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})


async def get(call: Call) -> Response:
    return JSONResponse(document(records.application(call.service.database, call.path["id"])))


async def delete(call: Call) -> Response:
    row = records.application(call.service.database, call.path["id"])
    call.service.database.run("DELETE FROM applications WHERE id = ?", (row["id"],))
    return JSONResponse(document(row))


def document(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "name": row["name"],
        "clientId": row["client_id"],
        "clientSecret": MASK,
        "createdAt": row["created_at"],
        "scope": row["scope"],
    }
