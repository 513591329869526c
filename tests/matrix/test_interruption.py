"""``up`` killed or interrupted at each stage, again and again, ends where an undisturbed run ends."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from tests.e2e.conftest import Checkout

# What stands on the screen when the blow falls, in the order of a run; each run gets a little further than the last.
MOMENTS = [
    (r"Machine", signal.SIGKILL),
    (r"Machine", signal.SIGINT),
    (r"base: ", signal.SIGKILL),
    (r"service_users: ", signal.SIGKILL),
    (r"ssh_server: ", signal.SIGKILL),
    (r"firewall: ", signal.SIGINT),
    (r"firewall: ", signal.SIGKILL),
    (r"docker_host: ", signal.SIGKILL),
    (r"airflow: .*[Ii]mage", signal.SIGKILL),
    (r"airflow: .*[Ss]tart", signal.SIGKILL),
    (r"First run: .*sync", signal.SIGKILL),
    (r"Verif", signal.SIGKILL),
]


def strike(place: Checkout, moment: str, blow: signal.Signals) -> int:
    """Run ``up`` until a line matches, send the signal to it alone, and return how it ended."""
    process = subprocess.Popen(
        ["./provision.py", "up", place.environment, "--yes"],
        cwd=place.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert process.stdout is not None
    for line in process.stdout:
        if re.search(moment, line):
            os.kill(process.pid, blow)
            break
    process.stdout.read()
    return process.wait(timeout=120)


@pytest.mark.parametrize(
    ("moment", "blow"), MOMENTS, ids=[f"{moment}-{blow.name}" for moment, blow in MOMENTS]
)
def test_a_struck_run_ends_at_once(checkout: Checkout, moment: str, blow: signal.Signals) -> None:
    expected = {-signal.SIGKILL} if blow is signal.SIGKILL else {130, -signal.SIGINT}
    assert strike(checkout, moment, blow) in expected, f"no line matched {moment!r}, or it did not end"


def test_the_next_up_ends_where_an_undisturbed_one_ends(checkout: Checkout) -> None:
    checkout.hangar("up", "--yes")
    report = checkout.report()
    assert [promise for promise in report["promises"] if promise["outcome"] == "broken"] == []
    checkout.hangar("up", "--yes")
    assert checkout.changed() == []


def test_two_ups_at_once_the_second_says_who_is_at_work(checkout: Checkout) -> None:
    first = subprocess.Popen(
        ["./provision.py", "up", checkout.environment, "--yes"],
        cwd=checkout.path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert first.stdout is not None
    first.stdout.readline()
    second = checkout.hangar("up", "--yes", check=False)
    assert second.returncode == 1
    assert str(first.pid) in second.stderr
    first.stdout.read()
    assert first.wait(timeout=300) == 0
