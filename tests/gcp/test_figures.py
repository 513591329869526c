"""What a plan costs: our own time, and whether its reads go side by side; and what the relay takes away."""

from __future__ import annotations

import time

from bench.cloud import BUDGET, plan_of_existing
from bench.relay import relay_figures
from tests.gcp.conftest import Environment

ROOM = 2
"""How many times as slow as a quiet machine this one may be; what is within the budgets by itself says `make bench`."""

DELAY = 0.5
"""Seconds that each answer takes here."""


def test_a_plan_of_an_existing_environment_takes_little_time_of_ours(environment: Environment) -> None:
    environment.up()
    best = min(cpu for _, cpu in plan_of_existing(environment.google, rounds=3))
    assert best < ROOM * BUDGET


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
    assert [one.row() for one in relay_figures() if one.value > ROOM * one.budget] == []
