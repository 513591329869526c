"""Which times a timer takes: as systemd itself says, where it is at hand."""

from __future__ import annotations

import os
import shutil
import subprocess
from datetime import datetime
from itertools import pairwise

import pytest

from hangar.config.calendar import is_calendar, longest_gap

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


GAPS = {
    "hourly": 1, "minutely": 1 / 60, "*-*-* 03:15": 24, "03:15": 24, "weekly": 168, "Sun 02:30": 168,
    "Mon..Fri 22:00": 72, "Mon,Thu *-*-* 01:00:30": 96, "Sat,Sun": 144, "*-*-01 04:00": 744, "*-*~01 04:00": 744,
    "*-1,7-1": 4416, "*:0/15": 0.25, "00/6:00": 6, "8..18:30": 14, "monthly": 744, "*-02-29": 35064,
    "Mon *-05~07/1": 8904, "*-*-01/10 06,18:00": 228,
}  # fmt: skip


@pytest.mark.parametrize("text", GAPS)
def test_the_longest_time_between_two(text: str) -> None:
    assert longest_gap(text) == pytest.approx(GAPS[text])


@pytest.mark.parametrize("text", ["2027-01-01 00:00 UTC", "*-02-30", "2027-*-01", "9..8:00", "sometimes", ""])
def test_what_does_not_come_again_and_again_has_none(text: str) -> None:
    assert longest_gap(text) is None


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not here")
@pytest.mark.parametrize("text", [text for text in GAPS if text not in {"*-02-29", "minutely"}])
def test_systemd_counts_the_same(text: str) -> None:
    argv = ["systemd-analyze", "calendar", "--iterations=80", text]
    said = subprocess.run(
        argv, capture_output=True, check=True, text=True, env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}
    )
    lines = [line for line in said.stdout.splitlines() if "Next elapse" in line or "Iter. #" in line]
    times = [datetime.strptime(line.split(": ", 1)[1], "%a %Y-%m-%d %H:%M:%S UTC") for line in lines]
    assert len(times) == 80
    assert max(after - time for time, after in pairwise(times)).total_seconds() / 3600 == pytest.approx(
        GAPS[text]
    )
