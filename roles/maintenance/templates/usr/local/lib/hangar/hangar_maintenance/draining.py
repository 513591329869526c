# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""No task begins, those that run end: Airflow's pools have no slots for a while, and a file remembers how many."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .airflow import Airflow, Unreachable
from .figures import Unknown

PLACE = Path("/srv/maintenance/drained.json")
LOOK_EVERY = 5.0
PATIENCE = 900.0
"""Seconds for an Airflow that has just started to answer."""


def this_start() -> str:
    """Names the time between two starts of the machine. A container has its host's boot, and an init of its own."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/1/stat').read_text().rsplit(')', 1)[1].split()[19]}"


def begin(airflow: Airflow, place: Path = PLACE) -> None:
    """Take every pool its slots, after writing down how many. What an earlier call wrote down counts."""
    pools = {**airflow.pools(), **_kept(place).get("pools", {})}
    _keep(place, {"pools": pools, "rebooting": ""})
    airflow.set_slots(dict.fromkeys(pools, 0))


def announce(place: Path = PLACE) -> None:
    """The machine is about to start anew: until then nobody gives the slots back."""
    if known := _kept(place):
        _keep(place, {**known, "rebooting": this_start()})


def renounce(place: Path = PLACE) -> None:
    """It does not start anew after all."""
    if known := _kept(place):
        _keep(place, {**known, "rebooting": ""})


def end(airflow: Airflow, place: Path = PLACE, patience: float = PATIENCE) -> bool:
    """Give the pools their slots back, and tell whether there was something to give. Waits for Airflow.

    A pool to which somebody gave slots meanwhile keeps those.
    """
    known = _kept(place)
    if not known or known["rebooting"] == this_start():
        return False
    deadline = time.monotonic() + patience
    while True:
        try:
            empty = [pool for pool, slots in airflow.pools().items() if slots == 0]
            airflow.set_slots({pool: slots for pool, slots in known["pools"].items() if pool in empty})
            break
        except Unreachable:
            if time.monotonic() > deadline:
                raise
            time.sleep(LOOK_EVERY)
    place.unlink()
    return True


def wait(busy: Callable[[], list[str]], minutes: float, say: Callable[[str], None]) -> list[str]:
    """What still runs when everything has ended, or when the minutes are over. A question that fails is asked again."""
    deadline, said = time.monotonic() + 60 * minutes, ""
    while True:
        try:
            left = busy()
        except (Unreachable, Unknown) as problem:
            left = [str(problem)]
        if not left or time.monotonic() > deadline:
            return left
        if (sentence := f"Waiting for: {', '.join(left)}") != said:
            said = sentence
            say(sentence)
        time.sleep(LOOK_EVERY)


def _kept(place: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(place.read_text()))
    except FileNotFoundError:
        return {}


def _keep(place: Path, known: dict[str, Any]) -> None:
    temporary = place.with_suffix(".new")
    with temporary.open("w") as file:
        json.dump(known, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(place)
