from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hangar import paths
from hangar.commands.logs import LONGEST, check, chosen, seconds_ago
from hangar.errors import HangarError
from hangar.services import SERVICES

NOW = datetime(2026, 1, 31, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(("when", "seconds"), [("90s", 90), ("10m", 600), ("2h", 7200), ("1d", 86400)])
def test_a_duration_says_how_long_ago(when: str, seconds: int) -> None:
    assert seconds_ago(when, NOW) == seconds


def test_a_time_is_counted_back_from_now() -> None:
    assert seconds_ago("2026-01-31T08:59:00+00:00", NOW) == 60
    local = (NOW - timedelta(minutes=2)).astimezone().replace(tzinfo=None)
    assert seconds_ago(local.isoformat(), NOW) == 120


@pytest.mark.parametrize("when", ["4000000000d", "9" * 5000 + "d", "0001-01-02T00:00:00+00:00"])
def test_what_is_older_than_any_log_is_as_far_back_as_logs_go(when: str) -> None:
    """journalctl and Docker end with an error of their own at such numbers."""
    assert seconds_ago(when, NOW) == LONGEST


def test_the_future_is_now() -> None:
    assert seconds_ago("2027-01-01T00:00:00+00:00", NOW) == 0


@pytest.mark.parametrize("when", ["", "yesterday", "10", "10x", "-5m"])
def test_anything_else_is_refused(when: str) -> None:
    with pytest.raises(HangarError, match="is neither a duration nor a time"):
        seconds_ago(when, NOW)


def test_without_a_service_all_are_read(repo: Path) -> None:
    assert chosen("all", "local") == (list(SERVICES), "local")
    assert chosen("ssh", "sandbox") == (["ssh"], "sandbox")


def test_an_environment_may_stand_where_a_service_would(repo: Path) -> None:
    folder = paths.platform_file("sandbox")
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("")
    assert chosen("sandbox", "local") == (list(SERVICES), "sandbox")
    with pytest.raises(HangarError, match='There is no service "sandbx", and no environment of that name'):
        chosen("sandbx", "local")


def test_what_is_searched_for_must_be_a_regular_expression() -> None:
    check("time ?out")
    with pytest.raises(HangarError, match=r'"\(" is no regular expression'):
        check("(")
