"""What stays: the newest of each of the last days, weeks and months that have a backup."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from hangar.backup.retention import kept
from hangar.config.backup import Keep

LAST = datetime(2026, 11, 25, 3, 15, tzinfo=UTC)


def names(*days_ago: float) -> list[str]:
    return [f"{LAST - timedelta(days=days):%Y%m%dT%H%M%SZ}" for days in days_ago]


def days(found: set[str]) -> list[str]:
    return sorted((name[4:8] for name in found), reverse=True)


def test_of_a_year_of_days_the_last_days_weeks_and_months_stay() -> None:
    found = kept(names(*range(365)), Keep(daily=3, weekly=3, monthly=3))
    assert days(found) == ["1125", "1124", "1123", "1122", "1115", "1031", "0930"]


def test_of_the_last_day_all_stay_and_of_an_earlier_one_the_newest() -> None:
    found = kept(names(0, 0.1, 0.9, 3, 3.05, 3.1), Keep(daily=7))
    assert found == set(names(0, 0.1, 0.9, 3))


def test_the_newest_is_never_removed_and_gaps_do_not_count() -> None:
    assert kept(names(400), Keep(daily=1, weekly=0, monthly=0)) == set(names(400))
    assert kept(names(1, 100, 200), Keep(daily=3, weekly=0, monthly=0)) == set(names(1, 100, 200))


@pytest.mark.parametrize("order", [1, -1])
def test_the_order_in_which_they_are_found_does_not_matter(order: int) -> None:
    found = names(0, 1, 2, 3)[::order]
    assert kept(found, Keep(daily=2, weekly=0, monthly=0)) == set(names(0, 1))


def test_of_none_none_stays() -> None:
    assert kept([], Keep()) == set()
