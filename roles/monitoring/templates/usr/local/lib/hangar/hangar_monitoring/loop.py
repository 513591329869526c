# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The loop: each source in its own time, Airflow's figures as they come, one file for all."""

import errno
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from . import containers, prometheus, services, system
from .described import SECRETS, load
from .figures import Figure, figure, write
from .room import Room, show
from .statsd import Airflow

PEOPLE = Path("/etc/hangar/people.json")
"""Who may come in, and until when (role people)."""

WRITTEN_EVERY = 5.0
"""Seconds between two looks at what is due; shorter than Prometheus' own interval."""


@dataclass
class Source:
    """Something that is asked every so many seconds. What it said last counts until it says something else."""

    name: str
    every: float
    measure: Callable[[], Iterable[Figure]]
    due: float = 0.0
    known: tuple[Figure, ...] = field(default=())
    complaint: str = ""
    longest: float = 20.0
    """Seconds after which it is given up: whoever is asked may keep silent, or speak without end."""

    def ask(self) -> None:
        """Measure now. A source that fails says so as a figure, and once in the log; it never ends the program."""
        found: list[Figure] = []
        complaint = ""
        try:
            with within(self.longest):
                found.extend(self.measure())
        except Exception as problem:
            complaint = f"{type(problem).__name__}: {problem}"[:500]
        if complaint and complaint != self.complaint:
            print(f"{self.name} cannot be measured: {complaint}", file=sys.stderr, flush=True)
        self.complaint = complaint
        about = {"source": self.name}
        self.known = (
            *found,
            figure("hangar_measured_ok", not complaint, **about),
            figure("hangar_measured_timestamp_seconds", int(time.time()), **about),
            figure("hangar_measured_every_seconds", self.every, **about),
        )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises TimeoutError into what takes longer."""

    def give_up(*_: Any) -> None:
        raise TimeoutError(f"it took more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def sources(described: dict[str, Any]) -> list[Source]:
    """What there is to ask on this machine."""
    given = described["services"]
    users = {user: int(uid) for user, uid in given.get("containers", {}).items()}
    found = [
        Source("units", 15, partial(system.units, users)),
        # Not at once: it takes its time, and the others are waited for.
        Source("updates", 60, system.Updates().measure, due=time.monotonic() + 20, longest=150),
        Source("lists", 300, system.lists),
        Source("reboot", 60, system.reboot),
        Source("clock", 300, system.clock),
        Source("logins", 30, system.Logins().measure),
        Source("certificates", 3600, partial(system.certificates, described["certificates"])),
        Source("keys", 15, partial(system.keys, PEOPLE)),
        Source("secrets", 15, partial(system.secrets, SECRETS, described["secrets"])),
    ]
    found.append(Source("images", 300, partial(system.images, users)))
    for user, uid in users.items():
        found.append(Source(f"containers-{user}", 15, partial(containers.states, user, uid)))
        found.append(Source(f"memory-{user}", 60, partial(containers.memory, user, uid)))
    if one := given.get("airflow"):
        found.append(Source("airflow", 15, partial(services.airflow, int(one["port"]))))
        if "airflow" in users:
            ask = partial(services.airflow_database, users["airflow"])
            found.append(Source("airflow-database", 120, ask, due=time.monotonic() + 40))
    if one := given.get("airbyte"):
        found.append(Source("airbyte", 15, services.Airbyte(int(one["port"]), one["credentials"]).measure))
    if one := given.get("warehouse"):
        found.append(Source("warehouse", 15, partial(services.warehouse, int(one["port"]), one["password"])))
    return found


def main() -> None:
    """Run until stopped."""
    described = load()
    asked, received = sources(described), Airflow()
    room = Room(described["without_figures"], partial(prometheus.tell, described))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", described["statsd_port"]))
        while True:
            turn(asked, received)
            room.look(time.monotonic())
            with unless_full():
                show(room.firing(time.monotonic()))
            listen(heard, received, time.monotonic() + WRITTEN_EVERY)


def turn(asked: list[Source], received: Airflow) -> None:
    """Ask who is due, then write."""
    now = time.monotonic()
    for source in asked:
        if source.due <= now:
            source.ask()
            source.due = now + source.every
    with unless_full():
        write([*(one for source in asked for one in source.known), *received.figures()])


@contextmanager
def unless_full() -> Iterator[None]:
    """A full /run is the figures' end, not ours: the alert on old figures tells of it, and so does the dashboard."""
    try:
        yield
    except OSError as problem:
        if problem.errno != errno.ENOSPC:
            raise


def listen(heard: socket.socket, received: Airflow, until: float) -> None:
    """Take what Airflow sends, until that moment."""
    while (left := until - time.monotonic()) > 0:
        heard.settimeout(left)
        try:
            received.receive(heard.recv(65536))
        except TimeoutError:
            return
