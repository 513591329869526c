# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""The verbs."""

import fcntl
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import draining, figures
from .airflow import Airflow, Unreachable

DESCRIBED = Path("/etc/hangar/maintenance.json")
LOCK = Path("/srv/maintenance/lock")
UNITS = ("hangar-backup.service", "apt-daily-upgrade.service")
"""What must not be cut short either."""


class Refused(Exception):
    """What cannot be done, and why."""


def say(sentence: str) -> None:
    print(sentence, flush=True)


def main(argv: list[str], usage: str) -> None:
    """Do what was asked; ends the program."""
    described = json.loads(DESCRIBED.read_text())
    try:
        if argv in (["reboot"], ["reboot", "--now"]):
            with LOCK.open("w") as lock:
                _alone(lock)
                reboot(described, whatever="--now" in argv)
        elif argv == ["resume"]:
            if described["airflow"] and draining.end(Airflow(described["airflow"])):
                say("Tasks begin again.")
        else:
            sys.exit(usage)
    except (Refused, Unreachable, figures.Unknown) as problem:
        sys.exit(f"maintenance: {problem}")


def reboot(described: dict[str, Any], *, whatever: bool) -> None:
    """Start anew once nothing runs; give up when the window closes, and leave everything as it was.

    Raises:
        Refused: the system does not start anew.
        Unreachable: Airflow did not do what it was asked.
        Unknown: nobody can say whether an update needs it.
    """
    if not whatever and not figures.value("hangar_reboot_needed", "reboot"):
        say("No update waits for a reboot.")
        return
    airflow = Airflow(described["airflow"]) if described["airflow"] else None
    try:
        if airflow:
            draining.begin(airflow)
        left = draining.wait(_busy(airflow, described["airbyte"], time.time()), described["minutes"], say)
        if left:
            say(f"The window has closed, and this still ran: {', '.join(left)}. The next window tries again.")
            return
        if airflow:
            draining.announce()
        say("Starting anew: an update needs it.")
        _start_anew()
    finally:
        if airflow:
            draining.end(airflow)


def _busy(airflow: Airflow | None, airbyte: bool, since: float) -> Callable[[], list[str]]:
    def busy() -> list[str]:
        left = airflow.busy() if airflow else []
        if airbyte and (jobs := int(figures.value("hangar_airbyte_jobs_running", "airbyte", since))):
            left.append(f"{jobs} of Airbyte's jobs")
        return left + [unit for unit in UNITS if _is_at_work(unit)]

    return busy


def _is_at_work(unit: str) -> bool:
    done = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False)
    return done.stdout.strip() in ("active", "activating")


def _start_anew() -> None:
    done = subprocess.run(["systemctl", "reboot"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        if draining.PLACE.exists():
            draining.renounce()
        raise Refused(f"the system does not start anew: {done.stderr.strip()}")


def _alone(lock: Any) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused("another maintenance waits already: journalctl -u hangar-reboot") from None
