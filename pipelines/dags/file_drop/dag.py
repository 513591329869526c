"""Load the zip files of CSV or JSON that people drop into /srv/airflow/data/drop/in.

Each is verified as a whole (feeds.yml says what is taken), loaded once into the schema landing, and archived. What is
broken goes into quarantine with a file that says why. The same content, dropped again, loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from airflow.sdk import dag, task
from file_drop import feeds
from file_drop.archive import Limits
from file_drop.folders import Folders
from file_drop.take import NotNow, take_all
from file_drop.watch import Watch
from hangar_dags.notify import tell, tell_of_failure
from hangar_dags.places import DATA
from hangar_dags.warehouse import session
from pendulum import datetime

ROOT = DATA / "drop"
FEEDS = feeds.read(Path(__file__).parent / "feeds.yml")


def tell_of_broken(outcomes: Sequence[dict[str, Any]]) -> None:
    broken = [outcome for outcome in outcomes if outcome["reason"]]
    if broken:
        lines = "\n".join(f"• {outcome['name']}: {outcome['reason']}" for outcome in broken)
        tell(f":warning: {len(broken)} of {len(outcomes)} dropped files went into quarantine:\n{lines}")


@dag(
    schedule="@continuous",  # the next run waits as soon as one has ended
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    tags=["files"],
    doc_md=__doc__,
    default_args={"on_failure_callback": tell_of_failure},
)
def file_drop() -> None:
    @task(retries=5, retry_delay=timedelta(minutes=1), retry_exponential_backoff=True)
    def take() -> list[dict[str, Any]]:
        try:
            return take_all(Folders.under(ROOT), FEEDS, partial(session, "warehouse_loader"), Limits())
        except NotNow as waits:
            tell_of_broken(waits.outcomes)  # the next try begins after them
            raise

    @task
    def report(outcomes: list[dict[str, Any]]) -> None:
        tell_of_broken(outcomes)

    Watch(task_id="watch", root=ROOT) >> (taken := take())
    report(taken)


file_drop()
