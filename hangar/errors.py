"""One shape for everything that goes wrong: what, the details, and the command that mends it.

Errors are raised where the cause is known and shown once, by `hangar.cli`.
"""

from collections.abc import Sequence
from dataclasses import dataclass


class HangarError(Exception):
    """A failure that a person can act on."""

    exit_code = 1

    def __init__(self, brief: str, details: str = "", resolution: str = "") -> None:
        super().__init__(brief)
        self.brief = brief
        self.details = details
        self.resolution = resolution

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and vars(self) == vars(other)

    __hash__ = Exception.__hash__


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong in a configuration, with its place."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class ConfigError(HangarError):
    """The configuration is wrong; nothing was touched. Carries every problem, not the first."""

    exit_code = 2

    def __init__(self, source: str, problems: Sequence[Problem], resolution: str = "") -> None:
        count = "a problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(
            f"{source} has {count}; nothing was touched.",
            "\n".join(str(problem) for problem in problems),
            resolution,
        )
        self.problems = tuple(problems)


class PromiseBroken(HangarError):
    """The machine stands, but something that it promises does not hold."""

    exit_code = 3


class CommandFailed(HangarError):
    """A program that Hangar called ended badly. `output` is what it wrote, for callers that look."""

    def __init__(self, brief: str, details: str = "", resolution: str = "", output: str = "") -> None:
        super().__init__(brief, details, resolution)
        self.output = output


class MissingTool(HangarError):
    """A program that Hangar needs is not installed here."""


class LockHeld(HangarError):
    """Another call is at work on the same environment."""


class CloudError(HangarError):
    """The place where the machine lives refused or failed."""


class EngineRefused(CloudError):
    """The Docker engine runs, but not for this account: waiting or starting would not help."""


class MachineMissing(HangarError):
    """The environment has no machine yet."""

    def __init__(self, environment: str) -> None:
        super().__init__(
            f"The environment {environment} has no machine.",
            resolution=f"Make it: ./provision.py up {environment}",
        )


class MachineUnreachable(HangarError):
    """The machine exists but cannot be logged in to."""


class PlaybookFailed(HangarError):
    """Ansible stopped at a task."""


class NeedsAnswer(HangarError):
    """A question had to be asked, and nobody is there to answer it."""
