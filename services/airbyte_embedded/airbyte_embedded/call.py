"""One request as the handlers see it: who asks, what for, and the answers that they may give."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ValidationError
from starlette.datastructures import QueryParams
from starlette.responses import JSONResponse

from airbyte_embedded.auth import Client
from airbyte_embedded.problems import bad_request

if TYPE_CHECKING:
    from airbyte_embedded.service import Service

BodyModel = TypeVar("BodyModel", bound=BaseModel)
Json = dict[str, Any]
MOST = 100  # Airbyte's own bound on a page
USUAL = 20


@dataclass(frozen=True)
class Call:
    """`address` is the URL as it was asked for, without the query. `client` is None on anonymous paths."""

    service: Service
    client: Client | None
    path: Mapping[str, str]
    query: QueryParams
    body: bytes
    content_type: str
    address: str

    def parse(self, model: type[BodyModel]) -> BodyModel:
        """The body as the model has it. Raises Problem 400 with every fault and its place."""
        if not self._is("application/json"):
            raise bad_request("The body must be JSON, with the content type application/json.")
        try:
            return model.model_validate_json(self.body)
        except ValidationError as error:
            raise bad_request(faults(error)) from None

    def _is(self, kind: str) -> bool:
        return self.content_type.partition(";")[0].strip() == kind

    def page(self) -> tuple[int, int]:
        """Limit and offset, within Airbyte's bounds. Raises Problem 400."""
        return self._number("limit", USUAL, 1, MOST), self._number("offset", 0, 0, 2**31 - 1)

    def _number(self, name: str, usual: int, least: int, most: int) -> int:
        value = self.query.get(name)
        if value is None or value == "":
            return usual
        # a hundred digits are no page of anybody's, and more than Python would read
        if not value.isascii() or not value.isdigit() or len(value) > 20 or not least <= int(value) <= most:
            raise bad_request(f"{name} must be a number from {least} to {most}.")
        return int(value)

    def flag(self, name: str) -> bool:
        return self._choice(name, ("true", "false"), "false") == "true"

    def _choice(self, name: str, known: tuple[str, ...], usual: str) -> str:
        value = (self.query.get(name) or usual).lower()
        if value not in known:
            raise bad_request(f"{name} must be one of {', '.join(known)}.")
        return value

    def choice(self, name: str, known: tuple[str, ...]) -> str | None:
        """The parameter's value where it is given. Raises Problem 400 for any that is not known."""
        return self._choice(name, known, "") if self.query.get(name) else None

    def moment(self, name: str) -> float | None:
        """A date and time as seconds since 1970; one without an offset is in UTC. Raises Problem 400."""
        value = self.query.get(name)
        if not value:
            return None
        try:
            given = datetime.fromisoformat(value)
        except ValueError:
            raise bad_request(f"{name} must be a date and time such as 2026-01-31T12:00:00Z.") from None
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).timestamp()

    def workspaces(self) -> list[str]:
        """The workspaces to list: repeated parameters or one list with commas."""
        return [
            part.lower() for value in self.query.getlist("workspaceIds") for part in value.split(",") if part
        ]

    def listing(self, data: list[Json], total: int) -> JSONResponse:
        """One page in Airbyte's envelope: where there is no other page, its address is empty."""
        limit, offset = self.page()
        previous = self._link(limit, max(offset - limit, 0)) if offset else ""
        following = self._link(limit, offset + limit) if offset + limit < total else ""
        return JSONResponse({"previous": previous, "next": following, "data": data})

    def _link(self, limit: int, offset: int) -> str:
        kept = [(name, value) for name, value in self.query.multi_items() if name not in ("limit", "offset")]
        return f"{self.address}?{urlencode([*kept, ('limit', limit), ('offset', offset)])}"


def faults(error: ValidationError) -> str:
    """Every fault with its path. Values are left out: they may be secrets."""
    found = [
        f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" if fault["loc"] else fault["msg"]
        for fault in error.errors(include_input=False, include_url=False)
    ]
    return "; ".join(found[:20])


def parse_token_request(call: Call, model: type[BodyModel]) -> BodyModel:
    """JSON or a form, as OAuth clients send it. Raises Problem 400."""
    if call.content_type.partition(";")[0].strip() == "application/x-www-form-urlencoded":
        fields = dict(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
        try:
            return model.model_validate_json(json.dumps(fields))
        except ValidationError as error:
            raise bad_request(faults(error)) from None
    return call.parse(model)


Handler = Callable[[Call], Any]
