"""The first run: on a fresh machine `elt` is started once, so that `up` ends with data that were moved."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from hangar.airbyte.load import Declared
from hangar.config import Config
from hangar.elt import reasons
from hangar.elt.machine import AirflowRefused, AirflowSilent, Machine
from hangar.elt.records import Gold
from hangar.errors import HangarError
from hangar.progress import Counting

DAG = "elt"
CONNECTION = "faker_to_warehouse"
"""What the DAG asks Airbyte for; without it there is nothing to run."""

APPEARS = 600.0
"""Seconds until Airflow has read a DAG that was just released: it looks every 10 s, and reads one file after the other.
An emulated processor takes ten seconds and more for each.
"""

SCHEDULED = 90.0
"""Seconds that the scheduler gets to bring a run that is due."""

WATCHED = 1800.0
"""Seconds that a run is watched. It goes on without us; the next call joins it."""

SILENT = 180.0
"""Seconds for which Airflow may give no answer while a run is watched."""

BETWEEN_LOOKS = 1.5
ENDED = ("success", "failed")


@dataclass(frozen=True)
class Run:
    """A run of the DAG; `ended` as Airflow writes moments, empty while it goes on."""

    id: str
    state: str
    ended: str = ""


def is_wanted(config: Config, declared: Declared | None) -> bool:
    """Whether the machine has all that the run needs, and nobody left it out."""
    return (
        config.pipelines.first_run
        and config.airflow.examples
        and declared is not None
        and CONNECTION in declared.connections
    )


def ensure(machine: Machine, environment: str, report: Counting) -> tuple[Gold, bool]:
    """Runs `elt` to its end unless gold is there; returns what is in gold, and whether anything was done.

    A run that is at work already (a killed call started it, or somebody) is joined; one that failed is started anew.

    Raises:
        HangarError: the run failed, with the reason that Airflow or Airbyte gives, or it does not end.
        MachineUnreachable: Airflow or the machine does not answer.
    """
    report("look for the gold tables", None, None)
    if not machine.is_released(DAG):
        return Gold(machine.gold()), False
    tables, runs = machine.gold(), _runs(machine)
    if runs is not None and not _is_due(bool(tables), runs):
        return _gold(machine, runs), False
    if runs is None:
        _appeared(machine, environment, report)
    _watch(machine, _begun(machine), environment, report)
    return look(machine), True


def look(machine: Machine) -> Gold:
    """What is in gold, and which run made it."""
    return _gold(machine, _runs(machine) or () if machine.is_released(DAG) else ())


def _is_due(has_gold: bool, runs: Sequence[Run]) -> bool:
    """Without gold, or with what a run made of it that did not come to its end."""
    return not has_gold or (bool(runs) and not any(run.state == "success" for run in runs))


def _gold(machine: Machine, runs: Sequence[Run]) -> Gold:
    good = max((run for run in runs if run.state == "success"), key=lambda run: run.ended, default=None)
    return Gold(machine.gold(), good.id if good else "", good.ended if good else "")


def _runs(machine: Machine) -> tuple[Run, ...] | None:
    """The newest runs and the newest that succeeded; None while Airflow does not know the DAG."""
    path, what = f"/api/v2/dags/{DAG}/dagRuns?order_by=-id&limit=", f"for the runs of {DAG}"
    try:
        found = machine.airflow("GET", f"{path}10", what)["dag_runs"]
    except AirflowRefused as refused:
        if refused.status == 404:
            return None
        raise
    good = machine.airflow("GET", f"{path}1&state=success", what)["dag_runs"]
    return tuple(_run(one) for one in [*found, *good])


def _run(answer: Mapping[str, Any]) -> Run:
    return Run(str(answer["dag_run_id"]), str(answer["state"]), str(answer["end_date"] or ""))


def _active(machine: Machine) -> Run | None:
    """The run that is at work, or waits; the one that works first."""
    active = [run for run in _runs(machine) or () if run.state not in ENDED]
    return next(iter(sorted(active, key=lambda run: run.state != "running")), None)


def _begun(machine: Machine) -> Run:
    """Switches the DAG on, and returns the run that is at work or that its schedule brings at once; else starts one."""
    path = f"/api/v2/dags/{DAG}"
    dag = machine.airflow("PATCH", path, f"to switch {DAG} on", {"is_paused": False})
    due = dag.get("next_dagrun_run_after")
    is_due = due and datetime.fromisoformat(due) <= datetime.now(UTC)
    deadline = time.monotonic() + (SCHEDULED if is_due else 0)
    while (run := _active(machine)) is None and time.monotonic() < deadline:
        time.sleep(BETWEEN_LOOKS)
    if run:
        return run
    body = {
        "dag_run_id": f"first_run__{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}",
        "logical_date": None,
        "note": "Started by ./provision.py up: there was no gold.",
    }
    return _run(machine.airflow("POST", f"{path}/dagRuns", f"to start {DAG}", body))


def _appeared(machine: Machine, environment: str, report: Counting) -> None:
    """Returns once Airflow has read the DAG."""
    report(f"wait until Airflow has read {DAG}", None, None)
    deadline = time.monotonic() + APPEARS
    while _runs(machine) is None:
        errors = machine.airflow("GET", "/api/v2/importErrors?limit=100", "for DAGs that it cannot read")
        ours = [one for one in errors["import_errors"] if str(one["filename"]).startswith(f"{DAG}/")]
        if ours or time.monotonic() > deadline:
            said = reasons.last_line(str(ours[0]["stack_trace"])) if ours else "it gives no reason"
            raise HangarError(
                f"Airflow has not read the DAG {DAG}.", f"* {said}",
                f"See what it says: ./provision.py logs airflow {environment}\n"
                f"Then run the same command again: ./provision.py up {environment}",
            )  # fmt: skip
        time.sleep(BETWEEN_LOOKS)


def _watch(machine: Machine, run: Run, environment: str, report: Counting) -> None:
    """Returns when the run has succeeded."""
    path = f"/api/v2/dags/{DAG}/dagRuns/{quote(run.id, safe='')}"
    deadline, told = time.monotonic() + WATCHED, ""
    while run.state not in ENDED:
        tasks = _patiently(machine, f"{path}/taskInstances?limit=100", "for its tasks", report)[
            "task_instances"
        ]
        words, done = progress(tasks)
        if words != told:
            report(words, done, len(tasks))
            told = words
        if time.monotonic() > deadline:
            raise HangarError(
                f"{DAG} has not ended within {WATCHED / 60:g} minutes ({words}).",
                f"* Run: {run.id}; it goes on.",
                f"Wait for it: ./provision.py up {environment}\n{reasons.in_airflow(DAG, run.id, environment)}",
            )
        time.sleep(BETWEEN_LOOKS)
        run = _run(_patiently(machine, path, f"how {DAG} is getting on", report))
    if run.state == "failed":
        raise reasons.failed(machine, DAG, run.id, environment)


def _patiently(machine: Machine, path: str, what: str, report: Counting) -> Any:
    """An answer, though Airflow may be restarting, or too busy to give one at once: the run does not depend on it."""
    deadline = time.monotonic() + SILENT
    while True:
        try:
            return machine.airflow("GET", path, what)
        except (AirflowSilent, AirflowRefused) as error:
            passes = isinstance(error, AirflowSilent) or error.status >= 500
            if not passes or time.monotonic() > deadline:
                raise
            report("wait for Airflow to answer", None, None)
            time.sleep(BETWEEN_LOOKS)


def progress(tasks: Sequence[Mapping[str, Any]]) -> tuple[str, int]:
    """What runs now, in words, and how many tasks are done."""
    done = sum(task["state"] == "success" for task in tasks)
    words = []
    for task in tasks:
        if task["state"] == "up_for_retry":
            words.append(f"{task['task_id']} failed and is tried again soon")
        elif task["state"] in ("queued", "running", "up_for_reschedule", "deferred", "restarting"):
            again = f" (try {task['try_number']})" if task["try_number"] > 1 else ""
            words.append(f"{task['task_id']}{again}")
    return f"{DAG}: {', '.join(words) or 'between two tasks'}", done
