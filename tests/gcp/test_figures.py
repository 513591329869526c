"""What a plan costs: our own time, and whether its reads go side by side; and what the relay takes away."""

from __future__ import annotations

import subprocess
import sys
import time

from bench.cloud import plan_of_existing, processor
from bench.relay import relay_figures
from tests.gcp import test_watching
from tests.gcp.conftest import Environment
from tests.pace import allowed

ROOM = 2
"""How many times its budget a figure may be, since tests run side by side; `make bench` is the judge."""

DELAY = 0.5
"""Seconds that each answer takes here."""


def test_a_plan_of_an_existing_environment_takes_little_beside_loading_googles_library(
    environment: Environment,
) -> None:
    """1.2 to 2 times as much, as busy as the computer is."""
    environment.up()
    taken, library = [], []
    for _, seconds in plan_of_existing(environment.google, rounds=3):
        taken.append(seconds)
        before = processor()
        subprocess.run([sys.executable, "-c", "from google.cloud import compute_v1"], check=True)
        library.append(processor() - before)
    assert min(taken) < 3 * min(library)


def test_a_plan_with_nothing_to_do_asks_once_for_a_kind_of_resource(environment: Environment) -> None:
    """A list that has another page is read on."""
    test_watching.say(test_watching.ON)
    environment.up()
    before = environment.calls()
    assert not environment.plan().has_changes
    asked = [
        call["method"]
        for call in environment.google.journal(since=before)
        if not call["values"].get("pageToken")
    ]
    assert sorted(asked) == sorted(set(asked))
    assert "monitoring.projects.alertPolicies.list" in asked


def test_its_reads_go_side_by_side(environment: Environment) -> None:
    environment.up()
    before = environment.calls()
    environment.google.fault("*", "delay-before", nth=0, seconds=DELAY)
    cloud = environment.cloud()
    began = time.monotonic()
    cloud.plan(environment.spec())
    took = time.monotonic() - began
    reads = environment.calls() - before
    assert reads > 10
    assert took < reads * DELAY / 2


def test_the_relay_is_hardly_slower_than_a_plain_connection() -> None:
    assert [one.row() for one in relay_figures() if one.value > allowed(ROOM * one.budget)] == []
