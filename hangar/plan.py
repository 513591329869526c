"""What would be done to a machine and to what belongs to it: the records that every cloud's plan is made of."""

from dataclasses import dataclass
from typing import Literal

Action = Literal["create", "update", "restart", "replace", "delete", "nothing"]
"""`restart` is an update for which the machine must stop."""


@dataclass(frozen=True)
class Change:
    """One line of a plan. `fields` holds (name, old, new); `detail` says why it must stop, where it must."""

    resource: str
    action: Action
    detail: str = ""
    fields: tuple[tuple[str, str, str], ...] = ()


@dataclass(frozen=True)
class Cost:
    """What the machine costs a month (730 hours), in `currency`. There is no sum, neither `before` nor `after`, where a
    part has no price: `unpriced_before` and `unpriced` name those, as gcp.prices would. `before` is None too where
    nothing is there yet. `note` says from when the prices are, and what is not in them; `items` are the parts after.
    """

    before: float | None
    after: float | None
    currency: str
    note: str
    items: tuple[tuple[str, float], ...] = ()
    unpriced_before: tuple[str, ...] = ()
    unpriced: tuple[str, ...] = ()


@dataclass(frozen=True)
class Plan:
    """`drift` names what somebody changed by hand. A `guarded` machine is somebody's in earnest: every change of
    it is asked for, and a replacement has to be allowed by name.
    """

    changes: tuple[Change, ...]
    cost: Cost | None = None
    drift: tuple[str, ...] = ()
    guarded: bool = False

    @property
    def count(self) -> int:
        """How many changes there are."""
        return sum(change.action != "nothing" for change in self.changes)

    @property
    def has_changes(self) -> bool:
        return self.count > 0

    @property
    def stops(self) -> bool:
        """Whether the machine stops for a change of it."""
        return any(change.action == "restart" for change in self.changes)

    @property
    def replaces(self) -> bool:
        """Whether the machine is thrown away and made again (what is under /srv stays)."""
        return any(change.action == "replace" for change in self.changes)


@dataclass(frozen=True)
class Removal:
    """What `destroy` would remove, and what it would leave (with the command that removes it too). Where
    `takes_data` is set by somebody's own wish, the environment's name has to be typed.
    """

    goes: tuple[str, ...]
    stays: tuple[str, ...] = ()
    takes_data: bool = True
    guarded: bool = False
