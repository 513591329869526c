"""All that a handler can see: the state, the rules, the operations, and the call that it answers."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email import message_from_bytes
from typing import Any, Protocol

from tests.google.background import Background
from tests.google.discovery import Method
from tests.google.errors import GoogleError
from tests.google.rules import Fault, Rules
from tests.google.state import State


@dataclass(frozen=True)
class Media:
    """An object's content."""

    content: bytes
    content_type: str
    headers: dict[str, str]


Answer = dict[str, Any] | Media | None
Handler = Callable[["Call"], Answer | Awaitable[Answer]]

HANDLERS: dict[str, Handler] = {}
PERMISSIONS: dict[str, Callable[["Call"], list[str]]] = {}
"""What a method asks of the caller, where it is more than the permission of its own name."""


class Machines(Protocol):
    """Real machines behind instances, and volumes behind disks. All of it may take long; it runs in threads."""

    def start(self, instance: str, described: dict[str, Any], data: list[str]) -> None: ...
    def host_keys(self, instance: str) -> dict[str, str]: ...
    def stop(self, instance: str) -> None: ...
    def restart(self, instance: str) -> None: ...
    def remove(self, instance: str) -> None: ...
    def remove_disk(self, disk: str) -> None: ...
    def copy_disk(self, source: str, target: str) -> None: ...
    def console(self, instance: str) -> str: ...
    def address(self, instance: str) -> tuple[str, int] | None: ...
    def cleanup(self) -> list[str]: ...


@dataclass
class World:
    state: State
    rules: Rules
    machines: Machines | None = None
    background: Background | None = None
    usual_seconds: float = 0.05
    """How long an operation takes, where a test has not ordered otherwise."""
    journal: list[dict[str, Any]] = field(default_factory=list)
    violations: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.operation_seconds = self.usual_seconds

    def reset(self) -> None:
        """Empties the world, but for who may call and the projects."""
        tables = self.state.tables
        kept = {name: tables[name] for name in ("keys", "tokens", "counters", "machines") if name in tables}
        projects = {name: {"number": known["number"]} for name, known in self.state.table("projects").items()}
        tables.clear()
        tables.update(kept, projects=projects)
        self.rules = Rules()
        self.operation_seconds = self.usual_seconds
        self.journal.clear()
        self.violations.clear()

    def violation(self, kind: str, method: str, message: str) -> None:
        """Something that no client should send, or that the stand-in should not answer."""
        self.violations.append({"kind": kind, "method": method, "message": message})


@dataclass
class Call:
    world: World
    method: Method
    values: dict[str, str]
    """The path's places and the query's parameters."""
    body: dict[str, Any]
    principal: str
    media: bytes = b""
    """An upload's body, with its content type."""
    content_type: str = ""
    query: list[tuple[str, str]] = field(default_factory=list)
    fault: Fault | None = None

    @property
    def state(self) -> State:
        return self.world.state

    @property
    def rules(self) -> Rules:
        return self.world.rules

    @property
    def project(self) -> str:
        """The project that the call speaks of: named, or the one that its bucket belongs to."""
        bucket = self.state.table("buckets").get(self.values.get("bucket", ""), {})
        return project_of(self.method, self.values) or str(bucket.get("_project", ""))

    def names(self, parameter: str) -> list[str]:
        """The values of a parameter that may be repeated."""
        return [value for name, value in self.query if name == parameter]

    def content(self) -> tuple[bytes, dict[str, Any]]:
        """An upload's content and what was said about it: the two parts of multipart/related, or the body alone.

        Raises:
            GoogleError: 400, the two parts are not there.
        """
        if self.values.get("uploadType") != "multipart":
            return self.media, {}
        head = f"Content-Type: {self.content_type}\r\n\r\n".encode()
        parts = message_from_bytes(head + self.media).get_payload()
        if not isinstance(parts, list) or len(parts) != 2:
            raise GoogleError(400, "Malformed multipart body.", "badRequest")
        described, content = (part.get_payload(decode=True) for part in parts)
        return bytes(content), json.loads(described)


def project_of(method: Method, values: dict[str, str]) -> str:
    """The project that a call speaks of."""
    for name in ("project", "projectId", "name", "resource", "parent"):
        value = values.get(name, "")
        if value.startswith("projects/-/"):  # any project: an account's address names its own
            return value.partition("@")[2].split(".")[0]
        if value.startswith("projects/"):
            return value.split("/")[1]
        if value and (name.startswith("project") or method.id.endswith(".v1")):
            return value
    return ""


def handles(*methods: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for method in methods:
            HANDLERS[method] = handler
        return handler

    return register
