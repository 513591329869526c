"""The calls of everything beside a machine's birth broken in every way: scenes of tests/gcp/scenes. Boots nothing.

Whatever broke, the next `up` ends in the right state.
"""

from __future__ import annotations

import contextlib

import pytest

from hangar.errors import HangarError
from tests.gcp import methods
from tests.gcp.conftest import Environment, environment, google, google_server, own_sockets
from tests.gcp.scenes import SCENES, withstand
from tests.matrix.test_google import PASSING, refused

__all__ = ["environment", "google", "google_server", "own_sockets"]

CASES = [(name, method) for name, scene in SCENES.items() for method in scene.calls]
REFUSED = [(name, *case) for name, scene in SCENES.items() for case in refused(*scene.calls)]


@pytest.mark.parametrize("name", SCENES)
def test_a_scene_holds_every_method_that_up_alone_does_not_call(environment: Environment, name: str) -> None:
    scene = SCENES[name]
    scene.before(environment)
    since = environment.calls()
    scene.act(environment)
    called = {call["method"] for call in environment.google.journal(since=since)}
    assert called - set(methods.UP) == set(scene.calls) - set(methods.UP)
    assert called >= set(scene.calls)
    scene.after(environment)


@pytest.mark.parametrize("kind", PASSING)
@pytest.mark.parametrize(("name", "method"), CASES)
def test_what_passes_is_not_noticed(environment: Environment, name: str, method: str, kind: str) -> None:
    withstand(environment, name, method, kind)


@pytest.mark.parametrize(("name", "method", "kind"), REFUSED)
def test_what_was_refused_once_is_right_afterwards(
    environment: Environment, name: str, method: str, kind: str
) -> None:
    scene = SCENES[name]
    scene.before(environment)
    fault = environment.google.fault(method, kind, code="INTERNAL_ERROR", message="Something broke.")
    with contextlib.suppress(HangarError):
        scene.act(environment)
    assert environment.google.fired(fault) == 1
    scene.after(environment)
