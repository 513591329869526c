"""What a run came to: the record that the report is written from."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from hangar.cloud.base import Plan, Server

if TYPE_CHECKING:
    from hangar.config import Config
    from hangar.console import Timing
    from hangar.playbook import Recap
    from hangar.ssh.tunnel import Forward
    from hangar.verification import Promise


@dataclass(frozen=True)
class Outcome:
    """`plan` is None where the machine was only looked at (`verify`), and so is `recap`."""

    command: str
    config: "Config"
    server: Server
    promises: "tuple[Promise, ...]"
    timings: "tuple[Timing, ...]"
    plan: Plan | None = None
    recap: "Recap | None" = None
    forwards: "tuple[Forward, ...]" = field(default=())

    @property
    def changed(self) -> int:
        """How many things this run changed: of the machine itself, and by Ansible."""
        machine = sum(change.action != "nothing" for change in self.plan.changes) if self.plan else 0
        return machine + (self.recap.changed if self.recap else 0)

    @property
    def broken(self) -> "tuple[Promise, ...]":
        return tuple(promise for promise in self.promises if promise.outcome == "broken")
