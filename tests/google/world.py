"""All that a handler can see: the state, the rules, the operations, and the call that it answers."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from tests.google.discovery import Method
from tests.google.rules import Fault, Rules
from tests.google.state import State

Answer = dict[str, Any] | bytes | None
Handler = Callable[["Call"], Answer | Awaitable[Answer]]

HANDLERS: dict[str, Handler] = {}
PERMISSIONS: dict[str, Callable[["Call"], list[str]]] = {}
"""What a method asks of the caller, where it is more than the permission of its own name."""


class Machines(Protocol):
    """What stands behind an instance. All of it may take long and runs outside the server's loop."""

    def start(self, path: str, instance: dict[str, Any], guest: "Guest") -> None: ...
    def stop(self, path: str) -> None: ...
    def remove(self, path: str) -> None: ...
    def remove_disk(self, path: str) -> None: ...
    def console(self, path: str) -> str: ...
    def address(self, path: str) -> tuple[str, int] | None: ...


@dataclass(frozen=True)
class Guest:
    """What a machine tells the server, in the server's own thread."""

    started: Callable[[str | None], None]
    """It was started, or was not, and why."""
    wrote_keys: Callable[[dict[str, str]], None]
    """Its SSH host keys, by type, as it writes them to its guest attributes."""


@dataclass
class World:
    state: State
    rules: Rules
    machines: Machines | None = None
    operation_seconds: float = 0.05
    journal: list[dict[str, Any]] = field(default_factory=list)
    violations: list[dict[str, Any]] = field(default_factory=list)

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
    fault: Fault | None = None

    @property
    def state(self) -> State:
        return self.world.state

    @property
    def rules(self) -> Rules:
        return self.world.rules

    @property
    def project(self) -> str:
        return project_of(self.method, self.values)


def project_of(method: Method, values: dict[str, str]) -> str:
    """The project that a call speaks of."""
    for name in ("project", "projectId", "name", "resource", "parent"):
        value = values.get(name, "")
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
