"""The protocol that every place a machine can come from speaks, and the records that pass through it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

Action = Literal["create", "update", "replace", "nothing"]
Report = Callable[[str], None]
"""Told, in a few words, what is being done now."""


@dataclass(frozen=True)
class MachineSpec:
    """The machine that is wanted. None means: as much as there is, or any that is free."""

    environment: str
    name: str
    cpus: float | None
    memory_bytes: int | None
    ssh_port: int | None
    admin: str
    public_key: str


@dataclass(frozen=True)
class Observed:
    """What is there now. `spec` is what the machine was made with; `recipe` what its base image was made
    from, and `recipe_now` what a new one would be made from (None where that means nothing).
    """

    exists: bool
    running: bool
    spec: MachineSpec | None = None
    recipe: str | None = None
    recipe_now: str | None = None


@dataclass(frozen=True)
class Change:
    """One line of a plan. `fields` holds (name, old, new)."""

    resource: str
    action: Action
    detail: str = ""
    fields: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Plan:
    changes: tuple[Change, ...]

    @property
    def count(self) -> int:
        """How many changes there are."""
        return sum(change.action != "nothing" for change in self.changes)

    @property
    def has_changes(self) -> bool:
        return self.count > 0

    @property
    def replaces(self) -> bool:
        """Whether the machine is thrown away and made again (what is under /srv stays)."""
        return any(change.action == "replace" for change in self.changes)


@dataclass(frozen=True)
class Server:
    """A machine that runs. `host_keys` are lines `type base64`, learned from the cloud, never from the
    network. `ssh_sources` are the networks that log-ins come from. `limits` are pytest markers of promises
    that this kind of machine cannot show.
    """

    name: str
    environment: str
    cloud: str
    id: str
    address: str
    port: int
    admin: str
    host_keys: tuple[str, ...]
    ssh_sources: tuple[str, ...]
    limits: tuple[str, ...] = ()


class Cloud(Protocol):
    """Made by the driver's class from an environment's name. Every method may raise CloudError."""

    def prepare(self, report: Report) -> None:
        """Sees to it that this computer can make such a machine; mends what it may, after asking."""

    def observe(self, spec: MachineSpec) -> Observed:
        """Looks; changes nothing."""

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        """Makes it so: exists → compatible → reuse, else create. Returns when the machine accepts SSH."""

    def server(self) -> Server | None:
        """The running machine, or None."""

    def destroy(self, report: Report) -> list[str]:
        """Removes the machine and its data; returns what it removed. Nothing there is no error."""

    def console(self) -> str:
        """What the machine wrote while booting: the last resort when SSH does not answer."""
