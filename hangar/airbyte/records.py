"""The records between the stages of `pipelines`."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["source", "destination", "connection"]
Action = Literal["create", "adopt", "update", "replace", "delete", "nothing"]
KINDS: tuple[Kind, ...] = ("source", "destination", "connection")


@dataclass(frozen=True)
class Wanted:
    """A resource as the files declare it. `fixed` cannot be changed in place: the connector, or the connection's ends
    by name. `fields` is flat (`configuration.host`); a secret is `{"secret": NAME}`. `body` is what Airbyte is sent,
    but for what only it knows (ids).
    """

    kind: Kind
    name: str
    fixed: Mapping[str, str]
    fields: Mapping[str, Any]
    body: Mapping[str, Any]

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name}"

    @property
    def references(self) -> dict[str, str]:
        """Field → name of the secret."""
        return {
            path: value["secret"]
            for path, value in self.fields.items()
            if isinstance(value, dict) and "secret" in value
        }


@dataclass(frozen=True)
class Found:
    """A resource as Airbyte holds it, in the same words."""

    kind: Kind
    name: str
    id: str
    fixed: Mapping[str, str]
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Entry:
    """What the machine's record says of a resource of ours. Without an id its creation was begun and not finished;
    `before` are the ids that had its name then.
    """

    id: str | None
    before: tuple[str, ...] = ()
    declared: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """What Airbyte holds, and what of it is ours."""

    workspace: str
    found: tuple[Found, ...]
    entries: Mapping[str, Entry]

    def by_id(self, kind: Kind, id: str) -> Found | None:
        return next((one for one in self.found if one.kind == kind and one.id == id), None)

    def named(self, kind: Kind, name: str) -> tuple[Found, ...]:
        return tuple(one for one in self.found if one.kind == kind and one.name == name)

    def ours(self, kind: Kind, name: str) -> Found | None:
        """The resource that was made from the files under this name, a killed call's included."""
        entry = self.entries.get(f"{kind}/{name}")
        if entry is None:
            return None
        if entry.id is not None:
            return self.by_id(kind, entry.id)
        fresh = [one for one in self.named(kind, name) if one.id not in entry.before]
        return fresh[0] if fresh else None


@dataclass(frozen=True)
class Step:
    """One line of the plan. `found` is what is there, `wanted` what shall be, `fields` (name, old, new) in words."""

    kind: Kind
    name: str
    action: Action
    fields: tuple[tuple[str, str, str], ...] = ()
    found: Found | None = None
    wanted: Wanted | None = None
    detail: str = ""
