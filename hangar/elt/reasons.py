"""Why a run failed, in the words of whoever failed: taken from the logs of its tasks."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from hangar.elt.machine import AirflowRefused, Machine
from hangar.errors import HangarError

LONGEST = 1500
"""Characters of a reason that are shown; the log has the whole."""


def failed(machine: Machine, dag: str, run: str, environment: str) -> HangarError:
    """The error for a run that failed."""
    path = f"/api/v2/dags/{dag}/dagRuns/{quote(run, safe='')}/taskInstances"
    tasks = machine.airflow("GET", f"{path}?state=failed&limit=100", "for the tasks that failed")
    lines = [f"* {task['task_id']}: {_reason(machine, path, task)}" for task in tasks["task_instances"]]
    return HangarError(
        f"The first run of {dag} failed.",
        "\n".join([*lines, f"* Run: {run}"]),
        f"Once its cause is mended, try again: ./provision.py up {environment}\n"
        f"{in_airflow(dag, run, environment)}\n"
        "To leave it out: pipelines.first_run: false in platform.yml",
    )


def in_airflow(dag: str, run: str, environment: str) -> str:
    """Where a person sees more."""
    return f"Its page: ./provision.py tunnel {environment}, then /dags/{dag}/runs/{run} of Airflow"


def _reason(machine: Machine, path: str, task: Mapping[str, Any]) -> str:
    log = f"{path}/{task['task_id']}/logs/{task['try_number']}?full_content=true"
    try:
        answer = machine.airflow("GET", log, "for a task's log")
    except AirflowRefused as refused:
        return f"failed, and its log cannot be read: {refused.details.removeprefix('* ')}"
    return next(reversed(list(spoken(answer))), "failed without a word in its log")[:LONGEST]


def spoken(answer: Mapping[str, Any]) -> Iterator[str]:
    """What the exceptions in a task's log say, in their order."""
    content = answer.get("content")
    for entry in content if isinstance(content, list) else ():
        if not isinstance(entry, dict):
            continue
        for detail in entry.get("error_detail") or ():
            if said := str(detail.get("exc_value") or detail.get("exc_type") or ""):
                yield said


def last_line(text: str) -> str:
    """What a traceback ends with."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it gives no reason"
