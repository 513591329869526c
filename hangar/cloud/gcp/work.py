"""Work in waves: what does not wait for each other is begun side by side, then waited for. What was made is named."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from hangar.cloud.base import Report
from hangar.cloud.gcp.api import Api
from hangar.cloud.gcp.errors import Conflict, OutOfStock
from hangar.cloud.gcp.names import Names
from hangar.errors import CloudError, HangarError

if TYPE_CHECKING:
    from hangar.cloud.gcp.reading import Existing

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
        while begun:
            step, operation = begun[0]
            try:
                self.api.compute.finish(operation)
            except HangarError as error:
                failures.append(error)
            except KeyboardInterrupt:
                # Nobody stops what Google has begun.
                self.made += [f"{one.makes} (Google is still at work on it)" for one, _ in begun if one.makes]
                raise
            else:
                self._done(step)
            del begun[0]
        if failures:
            raise next((error for error in failures if not isinstance(error, Conflict)), failures[0])

    def _done(self, step: Step) -> None:
        if step.makes:
            self.made.append(step.makes)
        if step.removes:
            self.gone.append(step.removes)


def left_over(error: CloudError, work: Work, existing: "Existing", environment: str) -> None:
    """Lets the error also say what was made and removed before it, and how to go on or to be rid of it. `existing` is
    what there was at first.
    """
    if not (work.made or work.gone):
        return
    made = "Made before that, and still there (some of it costs money)"
    for words, names in ((made, work.made), ("Removed before that", work.gone)):
        if names:
            lines = "\n".join(f"  {one}" for one in names)
            error.details = f"{error.details}\n* {words}:\n{lines}".strip()
    on = f"./provision.py up {environment}{_or_remove(existing, environment)}"
    error.resolution = f"{error.resolution}\nThen go on: {on}".strip()


def cut_short(work: Work, existing: "Existing", environment: str) -> str:
    """The same in words, for a call that a person ended; nothing where it had made and removed nothing."""
    told = CloudError("")
    left_over(told, work, existing, environment)
    return f"{told.details}\n{told.resolution}".strip()


def _or_remove(existing: "Existing", environment: str) -> str:
    """Of what may hold somebody's data, no error says that it be removed."""
    if existing.instance:
        return ""
    away = f", or remove it: ./provision.py destroy {environment}"
    return f"{away} (the data disk stays)" if existing.data_disk else f"{away} --with-data"


def elsewhere(error: OutOfStock, zones: Sequence[str], existing: "Existing", names: Names) -> None:
    """Lets the error also name the region's other zones and the way there; `existing` is what there was at first."""
    if not zones:
        return
    env, others = names.environment, f"another zone of the region ({', '.join(zones)})"
    away = f"./provision.py destroy {env} --with-data"
    moving = f"a snapshot (./provision.py snapshot {env} create) and a machine from it (docs/google-cloud.md, Moving)"
    if existing.instance:
        error.resolution = (
            f"Try again later, or choose another gcp.machine_type.\nIts data stands in {names.zone} and does not move:"
            f" the way to {others} is {moving}."
        )
    elif existing.data_disk:
        error.resolution = (
            f"Try again later, or choose another gcp.machine_type.\nThe data disk stands in {names.zone} and does not"
            f" move: the way to {others} is {moving}; if nothing is on it yet, remove it ({away}) and set gcp.zone."
        )
    else:
        error.resolution = (
            f"Try again later, or choose {others}: set gcp.zone in platform.yml."
            f"\nA data disk that was made already does not move: remove it first, while nothing is on it ({away})."
        )
