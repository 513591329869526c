"""The two figures of work that a machine which stands already can give: ``python -m bench.standing [CHECKOUT] [ENV]``.

`elt` from its trigger to tested gold, and the playbook alone when nothing is left to do. The checkout is the one whose
`up` made the machine, of the same revision still; by default this one and `local`. Nothing is made or removed, but
that `elt` runs once more. It prints, and exits 1 when a budget is missed or the playbook changed something.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

from bench.figure import Figure
from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout

REPO = Path(__file__).resolve().parents[1]
ELT = 90.0
PLAYBOOK = 22.0
LONGEST = 1800
"""Seconds for a run of `elt`, after which it is given up."""


def elt(machine: Checkout) -> float:
    """Seconds from the trigger until `gate`, the last word on gold, has passed: by the machine's own clock."""
    airflow = Airflow.of(machine)
    run = airflow.wait("elt", airflow.start("elt"), LONGEST)
    if run["state"] != "success":
        sys.exit(f"{run['dag_run_id']} of elt is {run['state']}: ./provision.py logs airflow")
    path = f"/api/v2/dags/elt/dagRuns/{run['dag_run_id']}"
    tasks = airflow.call("GET", f"{path}/taskInstances")["task_instances"]
    moments = {task["task_id"]: task for task in tasks}
    begun = datetime.fromisoformat(run["queued_at"])
    for name in ("sync", "fresh", "build", "gate"):
        ended = datetime.fromisoformat(moments[name]["end_date"])
        print(f"  {name} ended {(ended - begun).total_seconds():.1f} s after the trigger")
    return (datetime.fromisoformat(moments["gate"]["end_date"]) - begun).total_seconds()


def playbook(machine: Checkout) -> tuple[float, int]:
    """Seconds that the whole playbook takes, everything on, and how many tasks changed something."""
    argv = [".venv/bin/ansible-playbook", "-i", str(machine.hosts), "playbooks/site.yml"]
    start = time.monotonic()
    done = subprocess.run(argv, cwd=machine.path, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    took = time.monotonic() - start
    if done.returncode != 0:
        sys.exit(f"The playbook ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    changed = sum(int(count) for count in re.findall(r"\bchanged=(\d+)", done.stdout))
    if changed:  # which ones, for whoever reads on
        print("\n".join(re.findall(r"^(?:TASK .*|changed: .*)$", done.stdout, re.MULTILINE)))
    return took, changed


def main(words: list[str]) -> int:
    """Measure, print the rows, and say by the exit code whether both budgets are met with zero changes."""
    place = Path(words[0]).resolve() if words else REPO
    machine = Checkout(place, words[1] if len(words) > 1 else "local")
    if not (machine.state / "report.json").exists():
        sys.exit(f"{place} has no machine {machine.environment}: ./provision.py up {machine.environment}")
    seconds, changed = playbook(machine)
    figures = [
        Figure("second playbook alone, everything on", seconds, PLAYBOOK, "s"),
        Figure("tasks that it changed", changed, 0, ""),
        Figure("elt on 10,000 rows, from its trigger to tested gold", elt(machine), ELT, "s"),
    ]
    print(f"{'what':<58} {'measured':>8} {'budget':>8}")
    for figure in figures:
        print(figure.row())
    return 0 if all(figure.value <= figure.budget for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
