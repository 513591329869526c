"""Sources and destinations, which differ only in who judges their configuration.

A configuration is judged by the connector's specification and then by the connector itself (`check`) before
anything is stored. What is stored is encrypted; what is answered has a mask in every secret's place.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import SchemaError
from starlette.responses import JSONResponse, Response

from airbyte_embedded import destinations, models, records, vault
from airbyte_embedded.api import connections
from airbyte_embedded.call import Call
from airbyte_embedded.database import Row
from airbyte_embedded.problems import bad_request, unavailable, unprocessable
from airbyte_embedded.service import Service

Json = dict[str, Any]


@dataclass(frozen=True)
class Judge:
    """Knows one connector: its names, its specification, and how to ask it."""

    type: str
    definition_id: str
    specification: Json
    check: Callable[[Json], Awaitable[None]]


async def _source_judge(service: Service, type_: object, definition_id: str | None) -> Judge:
    connector = service.connectors.find(type_, definition_id)
    specification = await service.protocol.specification(connector)

    async def check(configuration: Json) -> None:
        await service.protocol.check(connector, configuration)

    return Judge(connector.type, connector.definition_id, specification, check)


async def _destination_judge(service: Service, type_: object, definition_id: str | None) -> Judge:
    destination = destinations.find(type_, definition_id)

    async def check(configuration: Json) -> None:
        await destinations.check(service.settings, destination, configuration)

    return Judge(destination.type, destination.definition_id, destination.specification, check)


JUDGES = {"source": _source_judge, "destination": _destination_judge}


class Actors:
    """The handlers of one kind: `source` or `destination`."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._type_key = f"{kind}Type"

    async def list_(self, call: Call) -> Response:
        limit, offset = call.page()
        wanted = call.workspaces()
        where = "kind = ? AND (deleted_at IS NULL OR ?)"
        where += f" AND workspace_id IN ({', '.join('?' * len(wanted))})" if wanted else ""
        values = [self.kind, call.flag("includeDeleted"), *wanted]
        counted = call.service.database.one(f"SELECT count(*) AS n FROM actors WHERE {where}", values)
        rows = call.service.database.all(
            f"SELECT * FROM actors WHERE {where} ORDER BY created_at, rowid LIMIT ? OFFSET ?",
            [*values, limit, offset],
        )
        return call.listing(
            [await self._document(call.service, row) for row in rows], counted["n"] if counted else 0
        )

    async def create(self, call: Call) -> Response:
        wanted = call.parse(models.ActorCreate)
        workspace = records.workspace(call.service.database, str(wanted.workspace_id))
        given = dict(wanted.configuration)
        type_ = given.pop(self._type_key, None)
        definition_id = str(wanted.definition_id) if wanted.definition_id else None
        judge = await JUDGES[self.kind](call.service, type_, definition_id)
        await self._accept(judge, given)
        workspace = records.workspace(call.service.database, workspace["id"])  # it may be gone since
        identifier = str(uuid.uuid4())
        call.service.database.insert(
            "actors",
            {
                "id": identifier,
                "kind": self.kind,
                "workspace_id": workspace["id"],
                "name": wanted.name,
                "type": judge.type,
                "definition_id": judge.definition_id,
                "configuration": call.service.vault.seal(given),
                "created_at": int(time.time()),
            },
        )
        return await self._answer(call.service, identifier)

    async def get(self, call: Call) -> Response:
        return await self._answer(call.service, call.path["id"])

    async def patch(self, call: Call) -> Response:
        """What is named changes; within the configuration too, as Airbyte has it."""
        row = records.actor(call.service.database, self.kind, call.path["id"])
        wanted = call.parse(models.ActorPatch)
        if wanted.workspace_id and str(wanted.workspace_id) != row["workspace_id"]:
            raise bad_request(f"A {self.kind} cannot be moved to another workspace.")
        changes = wanted.configuration
        return await self._change(
            call, wanted.name, None if changes is None else lambda old: {**old, **changes}
        )

    async def put(self, call: Call) -> Response:
        records.actor(call.service.database, self.kind, call.path["id"])
        wanted = call.parse(models.ActorPut)
        return await self._change(call, wanted.name, lambda old: dict(wanted.configuration))

    async def delete(self, call: Call) -> Response:
        """The actor and the connections that use it; what runs is cancelled first."""
        row = records.actor(call.service.database, self.kind, call.path["id"])
        await connections.remove_where(call.service, f"{self.kind}_id = ?", (row["id"],))
        call.service.database.update("actors", row["id"], {"deleted_at": int(time.time())})
        return Response(status_code=204)

    async def _change(self, call: Call, name: str | None, new: Callable[[Json], Json] | None) -> Response:
        """`new` makes the configuration of the old one. What somebody else changes while the connector is asked stays:
        it is asked again with that.
        """
        service = call.service
        while True:
            row = records.actor(service.database, self.kind, call.path["id"])
            changed: Json = {"name": name} if name else {}
            if new:
                old = service.vault.open(row["configuration"])
                given = new(old)
                given.pop(self._type_key, None)
                judge = await JUDGES[self.kind](service, row["type"], None)
                full = vault.unmasked(given, judge.specification, old)
                await self._accept(judge, full)
                # the streams may be others now
                changed |= {"configuration": service.vault.seal(full), "catalog": None}
            if not changed or self._store(service, row, changed):
                return await self._answer(service, row["id"])

    def _store(self, service: Service, row: Row, changed: Json) -> bool:
        """False where the actor is no more what it was; sealed anew, even the same configuration looks different."""
        sets = ", ".join(f"{name} = ?" for name in changed)
        stored = service.database.run(
            f"UPDATE actors SET {sets} WHERE id = ? AND configuration = ? AND deleted_at IS NULL",
            (*changed.values(), row["id"], row["configuration"]),
        )
        return stored.rowcount == 1

    async def _accept(self, judge: Judge, configuration: Json) -> None:
        """Raises Problem 422 for a configuration against the specification, 400 for one that does not work."""
        try:
            errors = list(Draft7Validator(judge.specification).iter_errors(configuration))
        except SchemaError as error:
            raise unavailable(
                f"{judge.type} has a specification that is no JSON schema: {error.message}"
            ) from None
        if errors:
            # the validator's message would quote the value, which may be a secret
            faults = "; ".join(sorted({_fault(error) for error in errors}))
            raise unprocessable(f"The configuration does not fit {judge.type}: {faults}")
        await judge.check(configuration)

    async def _answer(self, service: Service, identifier: str) -> Response:
        return JSONResponse(
            await self._document(service, records.actor(service.database, self.kind, identifier))
        )

    async def _document(self, service: Service, row: Row) -> Json:
        return {
            f"{self.kind}Id": row["id"],
            "name": row["name"],
            self._type_key: row["type"],
            "definitionId": row["definition_id"],
            "workspaceId": row["workspace_id"],
            # Airbyte's own client tells configurations apart by their type
            "configuration": {self._type_key: row["type"], **await self._shown(service, row)},
            "createdAt": row["created_at"],
        }

    async def _shown(self, service: Service, row: Row) -> Json:
        """Where the connector is no longer on the list nothing is known to be harmless: nothing is shown."""
        configuration = service.vault.open(row["configuration"])
        specification = await specification_of(service, self.kind, row["type"])
        if specification is None:
            return dict.fromkeys(configuration, vault.MASK)
        return vault.masked(configuration, specification)


async def specification_of(service: Service, kind: str, type_: str) -> Json | None:
    """The specification behind an actor that exists; None when its connector was taken off the list."""
    if kind == "destination":
        return destinations.find(type_, None).specification
    connector = service.connectors.by_type(type_)
    return await service.protocol.specification(connector) if connector else None


def _fault(error: Any) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    if error.validator == "required":
        missing = [name for name in error.validator_value if name not in error.instance]
        return f"{place}.{', '.join(missing)} is missing".lstrip(".")
    if error.validator == "additionalProperties":
        extra = set(error.instance) - set(error.schema.get("properties", {}))
        return f"{place}.{', '.join(sorted(extra))} is not known".lstrip(".")
    return f"{place or 'it'} fails the rule {error.validator} {str(error.validator_value)[:120]}"
