"""The streams that a source offers."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import JSONResponse, Response

from airbyte_embedded import catalog, records
from airbyte_embedded.call import Call
from airbyte_embedded.database import Row
from airbyte_embedded.problems import bad_request, unavailable
from airbyte_embedded.service import Service


async def list_(call: Call) -> Response:
    source = call.query.get("sourceId")
    if not source:
        raise bad_request("sourceId is missing.")
    row = records.source(call.service.database, source)
    if destination := call.query.get("destinationId"):
        records.destination(call.service.database, destination)
    offered = await offered_by(call.service, row, fresh=call.flag("ignoreCache"))
    return JSONResponse([catalog.properties(stream) for stream in offered])


async def offered_by(service: Service, source: Row, *, fresh: bool = False) -> list[dict[str, Any]]:
    """The source's streams, asked once for each configuration unless `fresh`.

    A source that is changed while it is asked is asked again, one that is deleted is not found (Problem 404): an
    answer to the old configuration says nothing of the new one.
    """
    while fresh or not source["catalog"]:
        connector = service.connectors.by_type(source["type"])
        if connector is None:
            raise unavailable(f"The connector {source['type']} is no longer in the registry of this machine.")
        offered = await service.protocol.discover(connector, service.vault.open(source["configuration"]))
        # a sealed configuration is another at every change, even where its text is the same
        stored = service.database.run(
            "UPDATE actors SET catalog = ? WHERE id = ? AND configuration = ? AND deleted_at IS NULL",
            (json.dumps(offered), source["id"], source["configuration"]),
        )
        if stored.rowcount:
            return offered
        source = records.source(service.database, source["id"])
    kept: list[dict[str, Any]] = json.loads(source["catalog"])
    return kept
