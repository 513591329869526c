"""What the machine has, what this checkout brings, and the plan that is made of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Pins = Mapping[str, str]
"""Package → version, by the names that PyPI's rules make of them."""


@dataclass(frozen=True)
class Service:
    """What the containers of a service run. `environments` are its Python environments by their folders; empty where no
    container answers. `outdated`: Debian has security updates for what is in its images. `waiting`: containers wait to
    be made of other images or settings. `limits`: installed package → what it demands of Airflow.
    """

    running: bool = False
    environments: Mapping[str, Pins] = field(default_factory=dict)
    python: str = ""
    machine: str = ""
    suite: str = ""
    outdated: bool = False
    waiting: bool = False
    limits: Pins = field(default_factory=dict)


@dataclass(frozen=True)
class Cut:
    """An upgrade that was cut short. `since` is its beginning, as ISO 8601; `revision` what the machine was made from
    before; `broken` the promises that did not hold then. While it is `held`, no task has begun since.
    """

    since: str
    revision: str
    held: bool
    broken: tuple[str, ...] = ()


@dataclass(frozen=True)
class Platform:
    """What Airbyte's platform is installed with, or is to be. `values` is the checksum of all that Helm is given,
    `settings` has a print of each of them (`remote.prints`): values may be secrets. None where no record has them. Its
    database is `external` where it is a Postgres of one's own.
    """

    port: int
    low_resource: bool
    values: str
    settings: Pins | None = None
    external: bool = False


@dataclass(frozen=True)
class Facts:
    """What a machine says. `simulated` is apt-get's own answer, `apt_problem` why it may be an old one, `apt_refusal`
    why it would upgrade nothing. `postgres` has the major version of the data of `airflow` and `warehouse`, `chart` the
    release of Airbyte's platform, if any, `platform` its settings.
    """

    simulated: str = ""
    apt_problem: str = ""
    apt_refusal: str = ""
    revision: str = ""
    drains: bool = True
    services: Mapping[str, Service] = field(default_factory=dict)
    postgres: Mapping[str, str] = field(default_factory=dict)
    chart: str = ""
    platform: Platform | None = None
    lint: tuple[str, ...] = ()
    reboot: bool = False
    cut: Cut | None = None


@dataclass(frozen=True)
class Lock:
    """A lock of this checkout: its text, and the file as people know it."""

    name: str
    text: str


@dataclass(frozen=True)
class Wanted:
    """What this checkout brings. `locks`: service → environment → its locks, the platform's own first. `suites`:
    service → Debian release of its images. `relation` is how this checkout stands to the machine's (`hangar.revision`).
    """

    environment: str
    revision: str
    relation: str
    locks: Mapping[str, Mapping[str, tuple[Lock, ...]]]
    suites: Mapping[str, str]
    postgres: Mapping[str, str]
    docker: tuple[str, ...]
    chart: str = ""
    platform: Platform | None = None


@dataclass(frozen=True)
class Item:
    """One thing that changes; `old` is empty for what is new, `new` for what goes."""

    name: str
    old: str
    new: str


@dataclass(frozen=True)
class Group:
    """Things that change together. `chief` names those that a person wants to see; `effect` says what it costs."""

    name: str
    title: str
    items: tuple[Item, ...]
    effect: str = ""
    chief: tuple[str, ...] = ()


@dataclass(frozen=True)
class Refusal:
    """Why nothing is upgraded, and what to do instead."""

    text: str
    cure: str


@dataclass(frozen=True)
class Plan:
    """`warnings` are known incompatibilities that a person should read; `notes` what this verb leaves to others.
    `way_back` says what does not go back by itself, and then what a person types to bring it back.
    `made_from` is the revision that made the machine, "" where that is not known.
    """

    groups: tuple[Group, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    way_back: tuple[str, ...] = ()
    cut: Cut | None = None
    made_from: str = ""

    @property
    def has_changes(self) -> bool:
        return bool(self.groups) or self.cut is not None

    def changes(self, name: str) -> bool:
        """Whether the group of that name has something to do."""
        return any(group.name == name for group in self.groups)

    @property
    def needs_drain(self) -> bool:
        """Whether containers stop, or a database that they use."""
        return self.cut is not None or any(
            group.name not in ("security", "debian")
            or any(item.name.startswith("postgresql") for item in group.items)
            for group in self.groups
        )
