"""The gate's judgement, apart from any database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from elt.gate import Layer, Pair, problems

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FINE = [
    Layer("users", 100, 60, NOW - timedelta(hours=1)),
    Layer("products", 10, 10, NOW - timedelta(hours=23)),
]
PAIRS = [Pair("users in silver", 100, 100), Pair("money", Decimal("1.50"), Decimal("1.5"))]


def judge(layers=FINE, pairs=PAIRS, synced=70, lost=0.0):
    return problems(layers, pairs, synced=synced, lost=lost, oldest=timedelta(hours=24), now=NOW)


def test_figures_that_fit_are_no_problem():
    assert judge() == []
    assert judge(synced=0) == []


def test_missing_rows_are_a_problem_beyond_the_threshold_only():
    assert judge(synced=71) == ["70 rows arrived since the sync began, and Airbyte says that it moved 71"]
    assert judge(synced=100, lost=30.0) == []
    assert judge(synced=101, lost=30.0) != []


def test_an_empty_and_a_stale_stream_are_named():
    layers = [Layer("users", 0, 0, None), Layer("products", 10, 70, NOW - timedelta(hours=25, minutes=30))]
    assert judge(layers) == [
        "users: no row at all",
        "products: the newest row came 25.5 hours ago, at most 24.0 hours are allowed",
    ]


def test_figures_that_differ_between_layers_are_named():
    assert judge(pairs=[Pair("users in silver", 100, 101)]) == ["users in silver: 101, not 100"]
