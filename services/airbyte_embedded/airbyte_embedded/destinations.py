"""The places that data can go to: Postgres, DuckDB files and folders of Parquet files, through PyAirbyte's caches.

Field names are those of Airbyte's own destination connectors, so that one pipeline declaration serves both engines.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_embedded import processes
from airbyte_embedded.connectors import LAUNCH
from airbyte_embedded.problems import bad_request, unavailable, unknown_value
from airbyte_embedded.settings import Settings

Json = dict[str, Any]
# PyAirbyte writes schema and table names into SQL as they are
IDENTIFIER = r"^[a-z_][a-z0-9_]{0,62}$"
PREFIX = re.compile(r"[a-z0-9_]{0,40}")


@dataclass(frozen=True)
class Destination:
    type: str
    definition_id: str
    specification: Json
    longest_name: int | None = None  # letters of a table or column that count


POSTGRES = Destination(
    "postgres",
    "25c5221d-dce2-4163-ade9-739ef790f503",
    {
        "type": "object",
        "required": ["host", "port", "database", "username"],
        "additionalProperties": False,
        "properties": {
            "host": {"type": "string", "minLength": 1, "maxLength": 253},
            "port": {"type": "integer", "minimum": 1, "maximum": 65535},
            "database": {"type": "string", "minLength": 1},
            "schema": {"type": "string", "pattern": IDENTIFIER, "default": "public"},
            "username": {"type": "string", "minLength": 1},
            "password": {"type": "string", "airbyte_secret": True},
            "ssl": {"type": "boolean"},
            "ssl_mode": {
                "type": "object",
                "required": ["mode"],
                "additionalProperties": False,
                "properties": {"mode": {"enum": ["disable", "allow", "prefer", "require"]}},
            },
            "tunnel_method": {
                "type": "object",
                "additionalProperties": False,
                "properties": {"tunnel_method": {"const": "NO_TUNNEL"}},
            },
        },
    },
    longest_name=63,
)
DUCKDB = Destination(
    "duckdb",
    "94bd199c-2ff0-4aa2-b98e-17f0acb72610",
    {
        "type": "object",
        "required": ["destination_path"],
        "additionalProperties": False,
        "properties": {
            "destination_path": {"type": "string", "pattern": r"^/local/[A-Za-z0-9_./-]{1,200}$"},
            "schema": {"type": "string", "pattern": IDENTIFIER, "default": "main"},
        },
    },
)
PARQUET = Destination(
    "parquet",
    # Airbyte has no such connector for files on the machine itself: the id is this engine's own
    "6a5c3f0e-3b7d-4a0f-9d0c-6d1f2f9a7b11",
    DUCKDB.specification,
)
ALL = (POSTGRES, DUCKDB, PARQUET)


def find(destination_type: object, definition_id: str | None) -> Destination:
    """Raises Problem 400 when neither names a destination that this engine writes to."""
    for destination in ALL:
        if destination.type == destination_type or (
            destination_type is None and destination.definition_id == definition_id
        ):
            return destination
    asked = str(destination_type if destination_type is not None else definition_id)
    raise unknown_value(f"This engine writes to postgres, duckdb and parquet, not to {asked[:64]!r}.", asked)


def local_path(settings: Settings, destination_path: str) -> Path:
    """Where /local/… really is. Raises Problem 400 for whatever would leave that folder, links included."""
    root = settings.local.resolve()
    path = (root / destination_path.removeprefix("/local/")).resolve()
    if root not in path.parents:
        raise bad_request("destination_path must stay inside /local/.")
    return path


def resolved(settings: Settings, destination: Destination, configuration: Json) -> Json:
    """The configuration as a job needs it: real paths, defaults filled in."""
    filled = {
        name: part["default"]
        for name, part in destination.specification["properties"].items()
        if "default" in part
    } | configuration
    if destination in (DUCKDB, PARQUET):
        filled["destination_path"] = str(local_path(settings, filled["destination_path"]))
    return filled


async def check(settings: Settings, destination: Destination, configuration: Json) -> None:
    """The destination can be written to. Raises Problem 400 with the database's own words."""
    given = json.dumps({"type": destination.type, "config": resolved(settings, destination, configuration)})
    scratch = Path(tempfile.mkdtemp(prefix="check-", dir=settings.work))
    argv = [str(settings.worker_python), str(LAUNCH), "check"]
    seconds = settings.limits.check_seconds
    try:
        done = await processes.run(
            argv, settings.mark(f"check/{uuid.uuid4()}"), scratch, seconds, given.encode()
        )
    except processes.Unusable as error:
        raise unavailable(str(error)) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if done.code is None:
        raise bad_request(f"The {destination.type} destination did not answer within {seconds:g} seconds.")
    if done.code != 0:
        said = done.output.decode(errors="replace").strip() or "it could not be checked"
        raise bad_request(f"The {destination.type} destination cannot be written to: {said}")
