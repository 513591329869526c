"""What every scene has: what was before, what is done, and how it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.gcp.conftest import Environment
from tests.gcp.test_faults import settle
from tests.gcp.test_host_keys import NAME

DATA, BOOT = f"{NAME}-data", f"{NAME}-boot"

Act = Callable[[Environment], object]


def settle_all(environment: Environment) -> None:
    environment.google.clear_faults()
    unlock(environment)
    environment.up()
    here = {path for path in environment.google.resources() if path.endswith(("/stranger", "/other"))}
    for path in here:  # what was nobody's of Hangar's was left alone
        environment.google.remove(path)
    settle(environment)


@dataclass(frozen=True)
class Scene:
    """`calls` are the methods to be disturbed in it."""

    before: Act
    act: Act
    calls: tuple[str, ...]
    after: Act = settle_all


def nothing(environment: Environment) -> None:
    """An empty project."""


def unlock(environment: Environment) -> None:
    """The lock itself may be what could not be let go."""
    cloud = environment.cloud()
    if f"{cloud.names.bucket}/production" in environment.google.table("objects"):
        with cloud.hold("provision.py up production", break_lock=True):
            pass


def edit(environment: Environment, path: str, **fields: Any) -> None:
    environment.google.edit(f"projects/{environment.google.project}/{path}", **fields)
