# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The figures that Airflow sends (statsd over UDP): the few that are watched are kept, all others dropped.

Debian has no exporter for them. Names: Airflow's metrics_template.yaml, release 3.3; a figure that carries a DAG's or
a pool's name comes under its "legacy" name, since plain statsd has no labels.
"""

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

from .figures import Figure, figure

PREFIX = "airflow."
COUNTERS = {
    "scheduler_heartbeat",
    "dag_processor_heartbeat",
    "triggerer_heartbeat",
    "ti_failures",
    "ti_successes",
    "task_instances_without_heartbeats_killed",
    "dag_processing.processor_timeouts",
}
GAUGES = {
    "executor.open_slots",
    "executor.queued_tasks",
    "executor.running_tasks",
    "scheduler.tasks.starving",
    "scheduler.dagruns.running",
    "dag_processing.import_errors",
    "dag_processing.total_parse_time",
    "dagbag_size",
}
POOL = re.compile(r"pool\.(open|queued|running|deferred|scheduled)_slots\.([A-Za-z0-9_./-]{1,200})")
RUN = re.compile(r"dagrun\.duration\.(success|failed)\.([A-Za-z0-9_./-]{1,250})")
"""The letters that Airflow itself lets a figure have. A task may send any: an alert would carry them into a chat."""
MOST_NAMES = 1000
"""DAGs and pools that are told apart. Whoever writes DAGs chooses their names; the memory is ours."""
FORGOTTEN_AFTER = 600.0
"""Seconds after which a gauge that nobody sends any more is no longer true."""


@dataclass
class Airflow:
    """What has been received. Counters grow for as long as the program runs."""

    counters: dict[Figure, float] = field(default_factory=dict)
    gauges: dict[Figure, tuple[float, float]] = field(default_factory=dict)
    ended: dict[Figure, float] = field(default_factory=dict)
    """When a DAG's last run ended so, in seconds since 1970: nobody sends that."""

    def receive(self, packet: bytes, now: float | None = None) -> None:
        """Take a datagram: a figure a line, as NAME:VALUE|KIND. What is none is dropped."""
        for line in packet.decode(errors="replace").splitlines():
            name, _, rest = line.partition(":")
            value, _, kind = rest.partition("|")
            if not name.startswith(PREFIX):
                continue
            try:
                self._take(
                    name.removeprefix(PREFIX),
                    float(value),
                    value[:1] in "+-",
                    kind.split("|")[0],
                    time.monotonic() if now is None else now,
                )
            except ValueError:
                continue

    def _take(self, name: str, value: float, relative: bool, kind: str, now: float) -> None:
        own = "airflow_" + name.replace(".", "_")
        if kind == "c" and name in COUNTERS:
            self._count(figure(own, 0), value)
        elif kind == "g" and name in GAUGES:
            self._set(figure(own, 0), value, relative, now)
        elif kind == "g" and (pool := POOL.fullmatch(name)):
            self._set(figure("airflow_pool_slots", 0, state=pool[1], pool=pool[2]), value, relative, now)
        elif kind == "ms" and (run := RUN.fullmatch(name)):
            self._count(figure("airflow_dagrun_seconds_count", 0, state=run[1], dag=run[2]), 1)
            self._count(figure("airflow_dagrun_seconds_sum", 0, state=run[1], dag=run[2]), value / 1000)
            last = figure("airflow_dagrun_last_timestamp_seconds", 0, state=run[1], dag=run[2])
            if last in self.ended or len(self.ended) < MOST_NAMES:
                self.ended[last] = time.time()

    def _count(self, key: Figure, by: float) -> None:
        if key in self.counters or len(self.counters) < MOST_NAMES:
            self.counters[key] = self.counters.get(key, 0.0) + max(0.0, by)

    def _set(self, key: Figure, value: float, relative: bool, now: float) -> None:
        if key in self.gauges or len(self.gauges) < MOST_NAMES:
            before = self.gauges.get(key, (0.0, now))[0] if relative else 0.0
            self.gauges[key] = (before + value, now)

    def figures(self, now: float | None = None) -> Iterator[Figure]:
        """All that is known and still true."""
        moment = time.monotonic() if now is None else now
        self.gauges = {key: one for key, one in self.gauges.items() if moment - one[1] < FORGOTTEN_AFTER}
        yield from (key._replace(value=value) for key, value in self.counters.items())
        yield from (key._replace(value=value) for key, (value, _) in self.gauges.items())
        yield from (key._replace(value=value) for key, value in self.ended.items())
