"""Which times a timer takes: as systemd itself says, where it is at hand."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hangar.config.calendar import is_calendar

GOOD = (
    "*-*-* 03:15", "03:15", "hourly", "Daily", "weekly", "Sun 02:30", "Mon..Fri 22:00", "Mon,Thu *-*-* 01:00:30",
    "Sat,Sun", "*-*-01 04:00", "*-*~01 04:00", "*-1,7-1", "*:0/15", "00/6:00", "8..18:30", "2027-01-01 00:00 UTC",
    "*-*-* 03:15 Europe/Zurich", "Sunday 05:00",
)  # fmt: skip
BAD = (
    "sometimes", "Son 03:00", "25:00", "03:60", "*-13-01", "*-*-32", "3", "03:15 03:20", "every day", "03:15-04:00",
    "nightly", "Sun 24:00", "at 03:15", "03:15:61",
)  # fmt: skip


@pytest.mark.parametrize("text", [*GOOD, *BAD, ""])
def test_what_systemd_takes_is_taken(text: str) -> None:
    assert is_calendar(text) is (text in GOOD)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("text", [*GOOD, *BAD])
def test_systemd_says_the_same(text: str) -> None:
    done = subprocess.run(["systemd-analyze", "calendar", text], capture_output=True, check=False)
    assert (done.returncode == 0) is (text in GOOD)
