"""What a test orders: faults at the nth call of a method, and standing refusals (quota, permission, policy)."""

import fnmatch
from dataclasses import dataclass, field
from typing import Any

from tests.google.discovery import Method, catalog

BEFORE, AFTER = "before", "after"

KINDS = (
    "503-before", "503-after", "500-before", "429", "403", "reset-before", "reset-after", "delay-before",
    "delay-after", "operation-error",
)  # fmt: skip
OF_OPERATIONS = "operation-error"


@dataclass
class Fault:
    """At the `nth` call of a method (counted from the rule's making; 0: at every one) something goes wrong."""

    id: int
    method: str
    """A method's id, or a pattern of ids: compute.*.insert"""
    kind: str
    nth: int = 1
    code: str = ""
    """operation-error: what the operation ends with, such as ZONE_RESOURCE_POOL_EXHAUSTED. Only methods that begin an
    operation are meant then, and it has struck when one of theirs has begun."""
    message: str = ""
    reason: str = ""
    """What stands in errors[].reason, where it is not the kind's usual one."""
    seconds: float = 0.0
    project: str = ""
    calls: int = 0
    fired: int = 0

    def means(self, method: Method) -> bool:
        """Whether a method is one of those that can go wrong in this way."""
        named = fnmatch.fnmatchcase(method.id, self.method)
        return named and (self.kind != OF_OPERATIONS or method.begins_operation)

    def counts(self, method: Method, project: str) -> bool:
        """Whether this call is meant; counts it."""
        if not self.means(method) or (self.project and self.project != project):
            return False
        self.calls += 1
        if self.nth and self.calls != self.nth:
            return False
        self.fired += self.kind != OF_OPERATIONS
        return True


@dataclass
class Rules:
    """Everything that a test has ordered. Standing refusals are keyed by project; "*" means every project."""

    faults: list[Fault] = field(default_factory=list)
    denied: dict[str, list[str]] = field(default_factory=dict)
    """Permissions that nobody has."""
    disabled: dict[str, list[str]] = field(default_factory=dict)
    """Services (compute.googleapis.com) that are switched off until somebody enables them."""
    constraints: list[dict[str, str]] = field(default_factory=list)
    """Organisation policies: {constraint, method, message}."""
    quotas: dict[str, float] = field(default_factory=dict)
    """Limits by REGION/METRIC, or METRIC alone for every region."""
    stockouts: list[str] = field(default_factory=list)
    """Zones, or ZONE/MACHINE_TYPE, that have nothing left."""
    relay: dict[str, Any] = field(default_factory=dict)
    """The tunnel's far end: {backends: {instance: host:port}, drop_after: bytes, drops: times}."""
    unbilled: list[str] = field(default_factory=list)
    """Projects without a billing account."""
    account_seconds: float = 0.0
    """How long a new service account is unknown to the other APIs: Google's own take up to a minute and more."""
    console: str = ""
    """What the serial console of an instance without a machine shows."""
    _next: int = 1

    def add(self, **wanted: Any) -> Fault:
        if wanted.get("kind") not in KINDS:
            raise ValueError(f"unknown kind of fault: {wanted.get('kind')}; there are {', '.join(KINDS)}")
        fault = Fault(id=self._next, **wanted)
        if not any(fault.means(method) for method in catalog().by_id.values()):
            raise ValueError(f"no method of {fault.method} can go wrong by {fault.kind}")
        self._next += 1
        self.faults.append(fault)
        return fault

    def struck(self, method: Method, project: str) -> Fault | None:
        """The fault of this call; every rule that matches has counted it."""
        hits = [fault for fault in self.faults if fault.counts(method, project)]
        return hits[0] if hits else None

    def is_denied(self, project: str, permission: str) -> bool:
        ordered = self.denied.get(project, []) + self.denied.get("*", [])
        return any(fnmatch.fnmatchcase(permission, pattern) for pattern in ordered)

    def is_disabled(self, project: str, service: str) -> bool:
        return service in self.disabled.get(project, []) + self.disabled.get("*", [])
