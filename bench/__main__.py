"""The figures of the README, taken side by side in one run on this machine: ``make bench``.

Ratios carry over to other machines; seconds do not. It prints, and exits 1 when a budget is missed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from bench.cloud import cloud_figures
from bench.figure import Figure
from bench.hardening import hardening_figures, hardening_seconds
from bench.lasting import lasting_figures
from bench.memory import machine_memory, peak_of_tree
from bench.monitoring import monitoring_figures
from bench.people import people_figures
from bench.relay import relay_figures

REPO = Path(__file__).resolve().parents[1]
ENVIRONMENT = "bench"
MIB = 1 << 20


def timed(argv: Sequence[str], cwd: Path, environment: dict[str, str] | None = None) -> float:
    """Seconds that a command takes; its output is shown only when it fails."""
    start = time.monotonic()
    done = subprocess.run(
        argv, cwd=cwd, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        sys.exit(
            f"{' '.join(argv)} ended with {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        )
    return time.monotonic() - start


def clone(into: Path) -> Path:
    """A fresh clone with an environment of its own, so that nobody's machine is touched."""
    subprocess.run(["git", "clone", "-q", str(REPO), str(into)], check=True)
    shutil.copytree(into / "inventory" / "local", into / "inventory" / ENVIRONMENT)
    return into


def environment_figures(work: Path) -> list[Figure]:
    """Making the environment with pip, where there is no uv, and the start-up of the command line."""
    without_uv = {**os.environ, "PATH": path_without("uv")}
    slow = clone(work / "pip")
    figures = [
        Figure(
            "making the environment from the lock (pip)",
            timed(["./provision.py", "--help"], slow, without_uv),
            20,
            "s",
        )
    ]
    starts = [timed(["./provision.py", "--help"], slow) for _ in range(10)]
    return [
        *figures,
        Figure("./provision.py --help, environment present", statistics.median(starts), 0.3, "s"),
    ]


def path_without(program: str) -> str:
    """PATH with the folders that hold a program left out, unless the interpreter itself lives there."""
    hidden = Path(tempfile.mkdtemp(prefix="bench-path-"))
    for folder in reversed(os.environ["PATH"].split(os.pathsep)):
        for file in Path(folder).iterdir() if Path(folder).is_dir() else []:
            if file.name != program and os.access(file, os.X_OK) and not (hidden / file.name).is_symlink():
                (hidden / file.name).symlink_to(file)
    return str(hidden)


def machine_figures(work: Path) -> list[Figure]:
    """The whole way, against a bare shell script that does the same on the same kind of container."""
    bare = timed([str(REPO / "bench" / "bare.sh")], REPO)
    home = clone(work / "machine")
    timed(["./provision.py", "--help"], home)
    try:
        whole = timed(["./provision.py", "up", ENVIRONMENT, "--yes"], home)
        first, elt = stages(home, "Machine", "Connection", "Playbook"), stages(home, "First run")
        hardened = hardening_seconds(home, ENVIRONMENT)
        second, peak = peak_of_tree(["./provision.py", "up", ENVIRONMENT, "--yes"], home)
        hardened_again = hardening_seconds(home, ENVIRONMENT)
        playbook = timed(
            [".venv/bin/ansible-playbook", "-i", f"inventory/{ENVIRONMENT}/hosts.yml", "playbooks/site.yml"],
            home,
        )
        idle = machine_memory(ENVIRONMENT)
        watched = monitoring_figures(home, ENVIRONMENT)
        people = people_figures(home, ENVIRONMENT)
        lasting = lasting_figures(home, ENVIRONMENT)
    finally:
        timed(["./provision.py", "destroy", ENVIRONMENT, "--yes"], home)
    print(
        f"bare shell script {bare:.1f} s; first up {first:.1f} s until Airflow is healthy, {whole:.1f} s in all"
    )
    return [
        Figure("first up / bare shell script", first / bare, 1.5, "x"),
        Figure("elt on 10,000 rows, from its start to tested gold", elt, 90, "s"),
        Figure("second up, nothing to do, verification included", second, 30, "s"),
        Figure("second playbook alone, everything on", playbook, 22, "s"),
        Figure("peak memory of the controller (all its processes)", peak / MIB, 300, "MiB"),
        Figure("the idle machine, everything running", idle / MIB, 3072, "MiB"),
        *hardening_figures(hardened, hardened_again),
        *watched,
        *people,
        *lasting,
    ]


def stages(home: Path, *names: str) -> float:
    """Seconds that stages of the last run took. The playbook returns when Airflow answers healthy."""
    report = json.loads((home / ".hangar" / ENVIRONMENT / "report.json").read_text())
    return sum(stage["seconds"] for stage in report["stages"] if stage["name"] in names)


def main() -> int:
    """Measure, print one table, and say by the exit code whether each budget is met."""
    with tempfile.TemporaryDirectory(prefix="hangar-bench-") as folder:
        figures = [
            *environment_figures(Path(folder)), *cloud_figures(), *relay_figures(), *machine_figures(Path(folder)),
        ]  # fmt: skip
    print(f"{'what':<58} {'measured':>8} {'budget':>8}")
    for figure in figures:
        print(figure.row())
    return 0 if all(figure.value <= figure.budget for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
