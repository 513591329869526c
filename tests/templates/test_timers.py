"""When the machine does something by itself: timers as systemd reads them, of what platform.yml names."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from hangar.config import Config
from hangar.config.calendar import is_calendar
from hangar.errors import ConfigError
from hangar.paths import REPO
from tests.runtime import own_sockets
from tests.templates.render import render, value
from tests.unit.conftest import make_config, repo

__all__ = ["make_config", "own_sockets", "repo"]

Make = Callable[..., Config]
TIMERS = sorted(path for path in REPO.glob("roles/*/templates/**/*.timer.j2") if "/system/" in str(path))
WINDOWS = {
    "Sun 03:00-05:00": ("Sun *-*-* 03:00:00", 120),
    "02:00-04:30": ("*-*-* 02:00:00", 150),
    "Sat,Sun 23:00-01:00": ("Sat,Sun *-*-* 23:00:00", 120),
}
"""platform.yml → when the timer strikes, and for how many minutes the window is open."""


def timer(role: str, name: str, **options: object) -> dict[str, str]:
    text = render(role, f"/etc/systemd/system/{name}.timer", **options)
    return dict(re.findall(r"^(\w+)=(.*)$", text, re.M))


@pytest.mark.parametrize("window", WINDOWS)
def test_a_window_is_what_platform_yml_names(make_config: Make, window: str) -> None:
    strikes, minutes = WINDOWS[window]
    assert make_config(f"updates.window={window}").updates.window == window
    found = timer("maintenance", "hangar-maintenance", maintenance_window=window)
    assert found["OnCalendar"] == strikes
    assert is_calendar(strikes)
    assert "Persistent" not in found, "a window that was missed is over"
    assert int(value("maintenance", "__maintenance_minutes", maintenance_window=window)) == minutes


@pytest.mark.parametrize("window", ["Sun 03:00", "Son 03:00-05:00", "03:00-03:00", "24:00-01:00", "nightly"])
def test_what_is_no_window_is_refused_here_and_by_the_role(make_config: Make, window: str) -> None:
    with pytest.raises(ConfigError):
        make_config(f"updates.window={window}")
    parts = value("maintenance", "__maintenance_parts", maintenance_window=window)
    minutes = value("maintenance", "__maintenance_minutes", maintenance_window=window)
    assert parts == [] or int(minutes) == 0, "the role's own question (roles/maintenance/tasks/main.yml)"


def test_images_get_their_fixes_weekly_also_after_a_week_off() -> None:
    found = timer("maintenance", "hangar-images")
    assert (found["OnCalendar"], found["Persistent"]) == ("Mon *-*-* 05:00:00", "true")


def test_a_backup_is_made_when_platform_yml_says_also_after_a_night_off() -> None:
    found = timer("backup", "hangar-backup", backup_schedule="Sun 02:30")
    assert (found["OnCalendar"], found["Persistent"]) == ("Sun 02:30", "true")


def test_every_timer_of_ours_strikes_at_a_time_that_there_is() -> None:
    """What is written without a setting in it."""
    said = {path.stem: re.findall(r"^OnCalendar=(.+)$", path.read_text(), re.M) for path in TIMERS}
    plain = {name: when for name, found in said.items() for when in found if "{{" not in when}
    assert len(plain) >= 2
    assert {name: when for name, when in plain.items() if not is_calendar(when)} == {}
