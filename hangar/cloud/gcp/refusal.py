"""What Google says when it says no, taken apart; what it means is said in errors.py."""

from dataclasses import dataclass, field
from typing import Any

SOMEBODY = "user:YOU@EXAMPLE.ORG"
"""A member of a policy whose address the credentials do not tell: a person fills in their own."""

CONSTRAINTS = "constraints"
"""The fact that holds the constraints of an organisation that a call violates, where Google's words do not name them.
"""


@dataclass(frozen=True)
class Refusal:
    """What Google said, taken apart. `place` is the API and the method, `member` who asked, as a policy names them,
    for which `environment`.
    """

    project: str
    place: str
    status: int
    message: str
    reason: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    member: str = SOMEBODY
    environment: str = ""

    @property
    def text(self) -> str:
        said = f"* Google said ({self.status} {self.reason or 'without a reason'}): {self.message}"
        return f"{said}\n* Asked for: {self.place}"


def read(
    project: str, place: str, status: int, body: Any, member: str = SOMEBODY, environment: str = ""
) -> Refusal:
    """Google's two forms of an error (old: errors[].reason, new: details[].reason) as one record."""
    error = body.get("error", {}) if isinstance(body, dict) else {}
    if not isinstance(error, dict):  # the token endpoint's form
        said = str(body.get("error_description", error))
        return Refusal(project, place, status, said, str(error), member=member, environment=environment)
    reason = next((str(one["reason"]) for one in error.get("errors") or () if one.get("reason")), "")
    facts: dict[str, str] = {}
    for detail in error.get("details") or ():
        reason = detail.get("reason") or reason
        facts |= {name: str(value) for name, value in (detail.get("metadata") or {}).items()}
        violated = [str(one.get("type", "")) for one in detail.get("violations") or ()]
        facts |= {CONSTRAINTS: " ".join(violated)} if violated else {}
    return Refusal(
        project,
        place,
        status,
        str(error.get("message", body))[:2000],
        reason or error.get("status", ""),
        facts,
        member,
        environment,
    )


def read_operation(
    project: str, place: str, operation: dict[str, Any], member: str = SOMEBODY, environment: str = ""
) -> Refusal:
    """An operation that ended in an error."""
    found = (operation.get("error", {}).get("errors") or [{}])[0]
    facts: dict[str, str] = {}
    for detail in found.get("errorDetails") or ():
        quota = detail.get("quotaInfo") or {}
        told = {
            **((detail.get("errorInfo") or {}).get("metadatas") or {}),
            **quota,
            **(quota.get("dimensions") or {}),
        }
        facts |= {name: str(value) for name, value in told.items() if not isinstance(value, dict)}
    message = str(found.get("message") or operation.get("httpErrorMessage", "no message"))
    return Refusal(
        project,
        place,
        int(operation.get("httpErrorStatusCode", 500)),
        message,
        str(found.get("code", "")),
        facts,
        member,
        environment,
    )
