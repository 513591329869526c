"""The record of a run, from which every form of the report is made."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from hangar.cloud.base import Server
from hangar.config import Config
from hangar.console import Timing
from hangar.elt.records import Gold
from hangar.report import words
from hangar.report.limits import limits
from hangar.report.listening import services
from hangar.ssh.tunnel import Forward
from hangar.verification import Outcome, Promise


@dataclass(frozen=True)
class Report:
    """A run that came to its end. `changed` counts what it changed on the machine; None: it only looked. `gold` is
    what the warehouse has to show; None: there is no warehouse. `roles` are the seconds that each took.
    """

    config: Config
    server: Server
    finished: datetime
    promises: tuple[Promise, ...]
    forwards: tuple[Forward, ...] = ()
    timings: tuple[Timing, ...] = ()
    changed: int | None = None
    gold: Gold | None = None
    roles: Mapping[str, float] = field(default_factory=dict)

    def of(self, outcome: Outcome) -> tuple[Promise, ...]:
        """The promises with this outcome."""
        return tuple(promise for promise in self.promises if promise.outcome == outcome)

    @property
    def holds(self) -> bool:
        """Whether nothing is broken. What could not be checked is not counted either way."""
        return not self.of("broken")

    @property
    def exit_code(self) -> int:
        return 0 if self.holds else 3

    @property
    def airflow(self) -> str | None:
        """Airflow's address on this computer, while the forward is open."""
        return next((forward.url for forward in self.forwards if forward.name == "airflow"), None)

    @property
    def by_role(self) -> list[tuple[str, list[Promise]]]:
        """The promises that were checked, a group a role, in the order of the site."""
        checked = [promise for promise in self.promises if promise.outcome in ("held", "broken")]
        return [(role, list(group)) for role, group in groupby(checked, key=lambda promise: promise.role)]

    @property
    def seconds(self) -> float:
        return sum(timing.seconds for timing in self.timings)


def as_dict(report: Report) -> dict[str, Any]:
    """The report for programs. Secrets are not in it, only the command that shows them."""
    server = report.server
    return {
        "environment": report.config.environment,
        "finished": report.finished.isoformat(timespec="seconds"),
        "machine": {
            "name": server.name, "cloud": server.cloud, "address": server.address, "port": server.port,
            "admin": server.admin, "kind": words.kind(server),
        },
        "changed": report.changed,
        "held": len(report.of("held")),
        "broken": len(report.of("broken")),
        "unchecked": len(report.of("unchecked")),
        "excepted": len(report.of("excepted")),
        "promises": [asdict(promise) for promise in report.promises],
        "stages": [{"name": timing.stage, "seconds": round(timing.seconds, 2)} for timing in report.timings],
        "roles": [{"name": name, "seconds": round(seconds, 2)} for name, seconds in report.roles.items()],
        "airflow": {
            "address": report.airflow,
            "user": words.AIRFLOW_USER,
            "password": words.password_command(report.config.environment),
        },
        "services": [asdict(service) for service in services(report.config, server, report.forwards)],
        "gold": asdict(report.gold) if report.gold else None,
        "limits": limits(report.config, server),
        "next": [asdict(step) for step in words.next_steps(report.config, holds=report.holds)],
    }  # fmt: skip
