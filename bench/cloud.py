"""`plan`, and the way to a machine's SSH, against a stand-in for Google Cloud, whose answers cost next to nothing: what
is left is our own time.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.figure import Figure
from tests.e2e import on_google
from tests.google.client import Google

REPO = Path(__file__).resolve().parents[1]
BUDGET, TO_SSH = 2.5, 5.0
ZONE = "europe-west3-a"
MACHINE = "hangar-production"


def cloud_figures() -> list[Figure]:
    return [plan_figure(), start_figure()]


def plan_figure() -> Figure:
    """A whole process, from its start to its end."""
    with tempfile.TemporaryDirectory(prefix="hangar-bench-") as folder:
        google = Google(Path(folder)).start()
        try:
            make(google)
            wall = min(seconds for seconds, _ in plan_of_existing(google, rounds=5))
        finally:
            google.stop()
    return Figure("plan of an environment on Google Cloud, stand-in", wall, BUDGET, "s")


def start_figure() -> Figure:
    """From a new machine that is through its start-up script to our being in."""
    with tempfile.TemporaryDirectory(prefix="hangar-bench-") as folder:
        google = Google(Path(folder), "--machines", "docker").start()
        try:
            with on_google.environment(google, Path(folder) / "clone") as place:
                place.hangar("resize", "--yes")
                seconds = time.time() - on_google.finished(place)
        finally:
            google.stop()
    return Figure("start to SSH on Google Cloud, beyond the boot, stand-in", seconds, TO_SSH, "s")


def make(google: Google) -> None:
    """The cloud half of `up production`."""
    with tempfile.TemporaryDirectory(prefix="hangar-bench-") as folder:
        configure(google, Path(folder))
        subprocess.run(
            [sys.executable, "-m", "tests.gcp.cloud_half", folder],
            cwd=REPO, env=environment(google), check=True,
        )  # fmt: skip


def plan_of_existing(google: Google, rounds: int) -> Iterator[tuple[float, float]]:
    """(seconds by the clock, seconds of the processor) of `plan`, each a process of its own. The machine is off: else
    the plan goes on with Ansible on it.
    """
    google.edit(f"projects/{google.project}/zones/{ZONE}/instances/{MACHINE}", status="TERMINATED")
    with tempfile.TemporaryDirectory(prefix="hangar-bench-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "-q", str(REPO), str(clone)], check=True)
        configure(google, clone)
        for _ in range(rounds):
            before, began = processor(), time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "hangar.cli", "plan", "production"],
                cwd=clone, env=environment(google), check=True, stdout=subprocess.DEVNULL,
            )  # fmt: skip
            yield time.monotonic() - began, processor() - before


def configure(google: Google, place: Path) -> None:
    folder = place / "inventory" / "production"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "platform.yml").write_text(
        f"cloud: gcp\ngcp:\n  project: {google.project}\n  zone: {ZONE}\n  api_endpoint: {google.base_url}\n"
    )


def environment(google: Google) -> dict[str, str]:
    return {
        **os.environ,
        "GOOGLE_APPLICATION_CREDENTIALS": str(google.key_file()),
        "HANGAR_ALLOW_API_HOST": "127.0.0.1",
    }


def processor() -> float:
    """Seconds that the processes we waited for have had of the processor."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
