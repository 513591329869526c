"""What goes wrong, in Airbyte's problem format (RFC 9457 with Airbyte's titles).

Types, titles and fields are those of `airbyte-api/problems-api/src/main/openapi/api-problems.yaml` in
airbytehq/airbyte-platform.
"""

from __future__ import annotations

from typing import Any

REFERENCE = "https://reference.airbyte.com/reference/errors"


class Problem(Exception):
    """An answer other than success: status, title, a sentence for people, data for programs."""

    def __init__(self, status: int, title: str, detail: str, data: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.title = title
        self.detail = detail
        self.data = data

    def body(self) -> dict[str, Any]:
        return {
            "status": self.status,
            "type": f"{REFERENCE}#{self.title}",
            "title": self.title,
            "detail": self.detail,
            "documentationUrl": None,
            "data": self.data,
        }


def unauthorized(detail: str) -> Problem:
    return Problem(401, "unauthorized", detail)


def forbidden(detail: str) -> Problem:
    return Problem(403, "forbidden", detail)


def not_found(kind: str, identifier: str) -> Problem:
    """The resource is unknown here, or was deleted. `identifier` is shortened: it comes from outside."""
    known = {"resourceType": kind, "resourceId": identifier[:64]}
    return Problem(404, "resource-not-found", f"There is no {kind} {identifier[:64]}.", known)


def bad_request(detail: str, data: dict[str, Any] | None = None) -> Problem:
    return Problem(400, "bad-request", detail, data)


def unprocessable(detail: str, data: dict[str, Any] | None = None) -> Problem:
    return Problem(422, "unprocessable-entity", detail, data)


def unknown_value(detail: str, value: str) -> Problem:
    return Problem(400, "value-not-found", detail, {"value": value[:64]})


def try_again(detail: str) -> Problem:
    return Problem(409, "try-again-later", detail)


def unavailable(detail: str) -> Problem:
    return Problem(503, "service-unavailable", detail)
