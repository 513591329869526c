"""What a machine that lasts is measured by: a backup of a fresh platform, the next one, the way back from a restart.

``python -m bench.lasting [CHECKOUT [ENV]]`` takes them on a container that stands. It makes two backups, of which the
first is one of everything only where there was none before, and restarts the machine.
"""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import docker

from bench.figure import Figure

LONGEST = 300.0
"""Seconds for Airflow to come back, after which it is given up."""

PAUSE = 0.5
"""Seconds between two looks."""


def lasting_figures(home: Path, environment: str) -> list[Figure]:
    """Three rows, of the machine that `home`, a checkout, has in this environment. A backup counts until it is here."""
    first, second = _backup(home, environment), _backup(home, environment)
    return [
        Figure("backup of a fresh platform, tried, encrypted and fetched", first, 30, "s"),
        Figure("the next backup, of what has changed", second, 10, "s"),
        Figure("from a restart until Airflow is healthy", _restart(home, environment), 45, "s"),
    ]


def _backup(home: Path, environment: str) -> float:
    began = time.monotonic()
    done = _said(home, "backup", "now", environment, "--json")
    took = time.monotonic() - began
    if done.returncode != 0:
        sys.exit(f"backup now ended with {done.returncode}\n{done.stderr[-4000:]}")
    made = json.loads(done.stdout)
    print(
        f"  backup: {took:.1f} s, {made['seconds']} s of them on the machine; new: {', '.join(made['new'])}"
    )
    return took


def _restart(home: Path, environment: str) -> float:
    """Seconds from the word to restart until each part of Airflow calls itself healthy, through `tunnel`."""
    container = docker.from_env().containers.get(f"hangar-{environment}")
    began = time.monotonic()
    container.restart(timeout=60)
    while not _healthy(home, environment):
        if time.monotonic() - began > LONGEST:
            sys.exit(f"Airflow of {environment} did not come back within {LONGEST:g} s of a restart")
        time.sleep(PAUSE)
    return time.monotonic() - began


def _healthy(home: Path, environment: str) -> bool:
    # The forward went with the machine; `tunnel` opens it again.
    if _said(home, "tunnel", environment).returncode != 0:
        return False
    report = json.loads((home / ".hangar" / environment / "report.json").read_text())
    try:
        with urllib.request.urlopen(
            report["airflow"]["address"] + "/api/v2/monitor/health", timeout=10
        ) as answer:
            parts: dict[str, Any] = json.load(answer)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return {part["status"] for part in parts.values()} == {"healthy"}


def _said(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["./provision.py", *words],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )


if __name__ == "__main__":
    where, named = (*sys.argv[1:], *([".", "local"][len(sys.argv) - 1 :]))[:2]
    rows = lasting_figures(Path(where).resolve(), named)
    for figure in rows:
        print(figure.row())
    sys.exit(0 if all(figure.value <= figure.budget for figure in rows) else 1)
