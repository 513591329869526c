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

from . import draining, figures, images, renewal
from .airflow import Airflow, Unreachable

DESCRIBED = Path("/etc/hangar/maintenance.json")
LOCK = Path("/srv/maintenance/lock")
BACKUP = "hangar-backup.service"
UNITS = (BACKUP, "apt-daily-upgrade.service")
"""What must not be cut short either."""

NEXT = ("The window has closed", "The next window tries again.")
NO_NEXT = ("The time for it is over", "Nobody tries again by itself: sudo maintenance run, or name a window")
"""What is said when the wait was in vain, and what then: where there are windows, and where there are none."""

MAKERS = ("hangar-maintenance.service", "hangar-upgrade-hold.service")
"""Who makes images besides: the window, and an upgrade, which may put the old ones back."""


class Refused(Exception):
    """What cannot be done, and why."""


def say(sentence: str) -> None:
    print(sentence, flush=True)


def main(argv: list[str], usage: str) -> None:
    """Do what was asked; ends the program."""
    described = json.loads(DESCRIBED.read_text())
    try:
        if argv in (["run"], ["run", "--reboot"]):
            with LOCK.open("w") as lock:
                _alone(lock)
                run(described, reboot="--reboot" in argv)
        elif argv == ["images"]:
            renew_images(described["services"])
        elif argv == ["renew"]:
            renewal.run(described["services"], say)
        elif argv == ["resume"]:
            with LOCK.open("w") as lock:
                resume(described, lock)
        else:
            sys.exit(usage)
    except (Refused, Unreachable, figures.Unknown, images.Failed, renewal.Failed) as problem:
        sys.exit(f"maintenance: {problem}")


def renew_images(users: list[str]) -> None:
    """Give the services' images Debian's fixes; nothing stops or starts.

    It holds no lock: each service's images have their own, and whoever lets tasks begin again need not wait.

    Raises:
        Failed: an image could not be looked at or made.
    """
    if others := [unit for unit in MAKERS if is_at_work(unit)]:
        say(f"{others[0]} is at work and makes the images itself.")
        return
    images.renew(users, say)


def resume(described: dict[str, Any], lock: Any) -> None:
    """Let tasks begin again, unless somebody is at work: they do it when they have ended."""
    try:
        _alone(lock)
    except Refused:
        return
    if described["airflow"] and draining.end(Airflow(described["airflow"])):
        say("Tasks begin again.")


def run(described: dict[str, Any], *, reboot: bool) -> None:
    """Finish what updates need once nothing runs; give up when the window closes, and leave everything as it was.

    Raises:
        Refused: the system does not start anew.
        Unreachable: Airflow did not do what it was asked.
        Unknown: nobody can say whether an update needs a reboot.
        Failed: an image could not be made, or its containers are not healthy.
    """
    users, deadline = described["services"], time.monotonic() + 60 * described["minutes"]
    for user in users:
        images.build(user, say)
    changed = [user for user in users if images.are_new(user)]
    reboot = reboot or bool(figures.value("hangar_reboot_needed", "reboot"))
    if not changed and not reboot:
        say("No update waits for anything.")
        return
    airflow = Airflow(described["airflow"]) if described["airflow"] else None
    over, again = NEXT if described.get("window") else NO_NEXT
    # Tasks begin while these work; and a backup is of pools as they are, or of the note that says how they were.
    if left := draining.wait(units_at_work, _minutes_until(deadline), say):
        say(f"{over}, and this still ran: {', '.join(left)}. {again}")
        return
    try:
        if airflow:
            draining.begin(airflow)
        left = draining.wait(busy(airflow, described["airbyte"], time.time()), _minutes_until(deadline), say)
        if left:
            say(f"{over}, and this still ran: {', '.join(left)}. {again}")
            return
        if time.monotonic() > deadline:
            say(f"{over} meanwhile. {again}")
            return
        for user in changed:
            say(f"Taking the new images of {user}.")
            images.take(user)
        if reboot:
            say("Starting anew.")
            draining.announce()
            _start_anew()
    finally:
        if airflow:
            draining.end(airflow)


def busy(airflow: Airflow | None, airbyte: bool, since: float) -> Callable[[], list[str]]:
    """A question: what is still at work. Airbyte's jobs are those that were counted after `since`."""

    def ask() -> list[str]:
        left = airflow.busy() if airflow else []
        if airbyte and (jobs := int(figures.value("hangar_airbyte_jobs_running", "airbyte", since))):
            left.append(f"{jobs} of Airbyte's jobs")
        return left + units_at_work()

    return ask


def units_at_work() -> list[str]:
    """Which of `UNITS` work just now."""
    return [unit for unit in UNITS if is_at_work(unit)]


def _minutes_until(deadline: float) -> float:
    return (deadline - time.monotonic()) / 60


def is_at_work(unit: str) -> bool:
    done = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False)
    return done.stdout.strip() in ("active", "activating")


def _start_anew() -> None:
    done = subprocess.run(["systemctl", "reboot"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        draining.renounce()
        raise Refused(f"the system does not start anew: {done.stderr.strip()}")


def _alone(lock: Any) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Refused(
            "another maintenance or an upgrade is at work: journalctl -u hangar-maintenance"
        ) from None
