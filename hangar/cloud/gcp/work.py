"""Work in waves: what does not wait for each other is begun side by side, then waited for. What was made is named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hangar.cloud.base import Report
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict, OutOfStock
from hangar.errors import CloudError, HangarError

Operation = dict[str, Any]


@dataclass(frozen=True)
class Step:
    """One call. `begin` returns the operation to wait for, or None when it is done at once. `makes` names what is
    new when it has worked, `removes` what is gone.
    """

    what: str
    begin: Callable[[], Operation | None]
    makes: str = ""
    removes: str = ""


def call(api: Api, what: str, *arguments: Any, **more: Any) -> Step:
    """A step that is one call of `Compute.begin`."""
    return Step(what, partial(api.compute.begin, *arguments, **more))


@dataclass
class Work:
    """Carries out steps and remembers what came of them."""

    api: Api
    report: Report
    made: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def wave(self, steps: Sequence[Step]) -> None:
        """Begins all, then waits for all: when one fails, the others are not left under way.

        Raises:
            HangarError: the first failure, a conflict before others (it is settled by looking again).
        """
        failures: list[HangarError] = []
        begun: list[tuple[Step, Operation]] = []
        for step in steps:
            self.report(step.what)
            try:
                operation = step.begin()
            except HangarError as error:
                failures.append(error)
                continue
            if operation is None:
                self._done(step)
            else:
                begun.append((step, operation))
        for step, operation in begun:
            try:
                self.api.compute.finish(operation)
            except HangarError as error:
                failures.append(error)
            else:
                self._done(step)
        if failures:
            raise next((error for error in failures if not isinstance(error, Conflict)), failures[0])

    def _done(self, step: Step) -> None:
        if step.makes:
            self.made.append(step.makes)
        if step.removes:
            self.gone.append(step.removes)


def left_over(error: CloudError, work: Work, environment: str) -> None:
    """Lets the error also say what was made and removed before it, and how to go on or to be rid of it."""
    if not (work.made or work.gone):
        return
    made = "Made before that, and still there (some of it costs money)"
    for words, names in ((made, work.made), ("Removed before that", work.gone)):
        if names:
            lines = "\n".join(f"  {one}" for one in names)
            error.details = f"{error.details}\n* {words}:\n{lines}".strip()
    on, away = f"./provision.py up {environment}", f"./provision.py destroy {environment} --with-data"
    error.resolution = f"{error.resolution}\nThen go on: {on}, or remove it: {away}".strip()


def elsewhere(error: OutOfStock, zones: Sequence[str], environment: str) -> None:
    """Lets the error also name the other zones of the region."""
    if zones:
        error.resolution = (
            f"Try again later, or choose another zone of the region ({', '.join(zones)}): set gcp.zone in platform.yml."
            "\nA data disk that was made already does not move: remove it first, while nothing is on it"
            f" (./provision.py destroy {environment} --with-data)."
        )
