"""Every call of the cloud half broken in every way, and the process killed at twenty places of it, and at ten of the
making of another machine around the same data. Boots nothing.
"""

from __future__ import annotations

import contextlib

import pytest

from hangar.errors import HangarError
from tests.gcp import methods
from tests.gcp.conftest import Environment, environment, google, google_server, own_sockets
from tests.gcp.killing import PATIENCE, kill, start
from tests.gcp.scenes.anew import ANEW, MARK, outdate, require_anew
from tests.gcp.scenes.scene import BOOT, DATA
from tests.gcp.test_faults import settle
from tests.gcp.test_host_keys import NAME
from tests.google.discovery import catalog

__all__ = ["environment", "google", "google_server", "own_sockets"]

PASSING = ("503-before", "503-after", "429", "reset-before", "reset-after")


def refused(*calls: str) -> list[tuple[str, str]]:
    """(method, kind): each is forbidden once; where it begins an operation, that ends in an error once."""
    begins = {one.id: one.begins_operation for one in catalog().by_id.values()}
    return [
        (method, kind)
        for method in calls
        for kind in ("403", "operation-error")
        if kind == "403" or begins.get(method)
    ]


KILLS = 20
BLOWS = ("delay-before", "delay-after")
"""By turns: a call is not done yet, or done."""


def test_the_matrix_holds_every_method_that_up_calls(environment: Environment) -> None:
    environment.up()
    called = {call["method"] for call in environment.google.journal()}
    assert called == set(methods.UP)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize("method", methods.UP)
def test_what_passes_is_not_noticed(environment: Environment, method: str, kind: str) -> None:
    fault = environment.google.fault(method, kind)
    environment.up()
    assert environment.google.fired(fault) == 1
    settle(environment)


@pytest.mark.parametrize(("method", "kind"), refused(*methods.UP))
def test_what_was_refused_once_is_right_after_the_next_up(
    environment: Environment, method: str, kind: str
) -> None:
    fault = environment.google.fault(method, kind, code="INTERNAL_ERROR", message="Something broke.")
    with contextlib.suppress(HangarError):
        environment.up()
    assert environment.google.fired(fault) == 1
    if environment.google.table("objects"):  # the lock itself was what could not be let go
        with environment.cloud().hold("provision.py up production", break_lock=True):
            pass
    settle(environment)


@pytest.mark.parametrize("point", range(KILLS))
def test_a_kill_is_taken_up_by_the_next_up(environment: Environment, point: int) -> None:
    calls = _calls_of_an_up(environment)
    environment.google.reset()
    kill(environment, BLOWS[point % 2], nth=1 + point * calls // KILLS)
    assert start().wait(PATIENCE) == 0
    settle(environment)


REPLACEMENTS = 10


@pytest.mark.parametrize("point", range(REPLACEMENTS))
def test_a_kill_while_the_machine_is_made_anew_is_taken_up_by_the_next_up(
    environment: Environment, point: int
) -> None:
    """Wherever it falls: one machine at the end, around the same data disk, and thrown away only as was allowed."""
    outdate(environment)
    calls = _calls_of_an_up(environment)
    environment.google.reset()
    environment.overrides = ()
    outdate(environment)
    kill(environment, BLOWS[point % 2], *ANEW, nth=1 + point * calls // REPLACEMENTS)
    disks = environment.google.resources("disks")
    assert disks[DATA]["description"] == MARK
    # What is gone already needs no leave to go.
    assert environment.plan().replaces == _is_old(environment)
    assert start(*ANEW).wait(PATIENCE) == 0
    require_anew(environment)


def _is_old(environment: Environment) -> bool:
    """Whether the machine that was to be made anew still stands."""
    boot = environment.google.resources("disks").get(BOOT, {"type": "/pd-ssd"})
    return NAME in environment.google.resources("instances") and not boot["type"].endswith("/pd-ssd")


def _calls_of_an_up(environment: Environment) -> int:
    before = environment.calls()
    environment.up()
    return environment.calls() - before
