"""How Google says no: one exception, written out in the manner of the API that says it."""

from collections.abc import Sequence
from typing import Any

COMPUTE, STORAGE = "compute", "storage"

STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    412: "FAILED_PRECONDITION",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
}


class GoogleError(Exception):
    """An answer other than 2xx.

    `reason` is what stands in errors[].reason, `status` the canonical code where it is not the usual one of the
    HTTP code, `details` typed records (google.rpc.ErrorInfo and the like).
    """

    def __init__(
        self,
        code: int,
        message: str,
        reason: str = "badRequest",
        *,
        status: str = "",
        domain: str = "global",
        details: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.reason, self.domain = code, message, reason, domain
        self.status = status or STATUSES.get(code, "UNKNOWN")
        self.details = details

    def body(self, api: str) -> dict[str, Any]:
        """Compute and Storage list errors[] with reasons; the others give a canonical status and details.

        Compute gives both where the answer comes from Google's front end (an unknown field, an API that is off).
        """
        error: dict[str, Any] = {"code": self.code, "message": self.message}
        listed = api in (COMPUTE, STORAGE)
        if listed:
            error["errors"] = [{"message": self.message, "domain": self.domain, "reason": self.reason}]
        if not listed or self.details:
            error["status"] = self.status
        if self.details:
            error["details"] = list(self.details)
        return {"error": error}


class OperationFailed(Exception):
    """What an operation ends with: it was accepted and came to nothing."""

    def __init__(self, code: str, message: str, details: Sequence[dict[str, Any]] = ()) -> None:
        super().__init__(message)
        self.code, self.details = code, list(details)

    @property
    def http(self) -> tuple[int, str]:
        """The HTTP code under which Google files it."""
        if self.code in ("QUOTA_EXCEEDED", "PERMISSIONS_ERROR"):
            return 403, "FORBIDDEN"
        if self.code.startswith("ZONE_RESOURCE_POOL_EXHAUSTED"):
            return 503, "SERVICE UNAVAILABLE"
        return (404, "NOT FOUND") if self.code == "RESOURCE_NOT_FOUND" else (400, "BAD REQUEST")


def not_found(path: str) -> GoogleError:
    return GoogleError(404, f"The resource '{path}' was not found", "notFound")


def already_exists(path: str) -> GoogleError:
    return GoogleError(409, f"The resource '{path}' already exists", "alreadyExists")


def not_ready(path: str) -> GoogleError:
    return GoogleError(400, f"The resource '{path}' is not ready", "resourceNotReady")


def in_use(path: str, user: str) -> GoogleError:
    collection = path.split("/")[-2]
    return GoogleError(
        400,
        f"The {collection[:-1]} resource '{path}' is already being used by '{user}'",
        "resourceInUseByAnotherResource",
    )


def invalid(field: str, value: object, why: str) -> GoogleError:
    return GoogleError(400, f"Invalid value for field '{field}': '{value}'. {why}", "invalid")


def required(field: str) -> GoogleError:
    return GoogleError(400, f"Required field '{field}' not specified", "required")


def stale(message: str = "Supplied fingerprint does not match current metadata fingerprint.") -> GoogleError:
    return GoogleError(412, message, "conditionNotMet")


def unknown_name(message: str) -> GoogleError:
    """What Google's front end says to a field or parameter that it does not know."""
    text = f"Invalid JSON payload received. {message}"
    violation = {"description": text}
    detail = {"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}
    return GoogleError(400, text, "badRequest", details=(detail,))


def info(reason: str, domain: str, **metadata: str) -> dict[str, Any]:
    return {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": reason,
        "domain": domain,
        "metadata": metadata,
    }
