"""The protocol that every place a machine can come from speaks, and the records that pass through it."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from hangar.plan import Change, Plan, Removal

__all__ = ["Change", "Cloud", "MachineSpec", "Plan", "Removal", "Report", "Server"]

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
class Jump:
    """A host that is passed on the way to a machine: where its SSH is, the operator's account there, and its host
    keys, lines `type base64`.
    """

    address: str
    port: int
    user: str
    host_keys: tuple[str, ...]


@dataclass(frozen=True)
class Server:
    """A machine that runs. `host_keys` are lines `type base64`, learned from the cloud, never from the
    network. `ssh_sources` are the networks that log-ins come from. `limits` are pytest markers of promises
    that this kind of machine cannot show. `emulated` says of its processor that everything takes several times as
    long. `proxy_command` is the program, word by word, whose standard input and output lead to the machine's SSH;
    without one, `address` and `port` do. It leads over `jump`, where there is one.
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
    emulated: bool = False
    proxy_command: tuple[str, ...] = ()
    jump: Jump | None = None


class Cloud(Protocol):
    """Made from an environment's settings by `cloud_for`. Every method may raise CloudError."""

    def prepare(self, report: Report) -> None:
        """Sees to it that this computer can make such a machine; mends what it may, after asking."""

    def hold(self, command: str, *, break_lock: bool = False) -> AbstractContextManager[None]:
        """Keeps others, on other computers too, from changing the machine for the time of the block; `break_lock`
        takes the lock away from whoever has it. LockHeld says who that is.
        """

    def plan(self, spec: MachineSpec) -> Plan:
        """What leads from what is there to what is wanted. Looks; changes nothing."""

    def ensure(self, plan: Plan, spec: MachineSpec, report: Report) -> Server:
        """Makes it so: exists → compatible → reuse, else create. Returns when the machine accepts SSH."""

    def server(self) -> Server | None:
        """The running machine, or None."""

    def removal(self, *, with_data: bool) -> Removal:
        """What `destroy` would remove, and what it would leave."""

    def destroy(self, report: Report, *, with_data: bool) -> list[str]:
        """Removes the machine, and what is under its /srv if `with_data` says so or the two cannot be told apart;
        returns what it removed. Nothing there is no error.
        """

    def console(self) -> str:
        """What the machine wrote while booting: the last resort when SSH does not answer."""
