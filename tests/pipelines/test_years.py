"""What years of runs leave in Airflow's database is removed as docs/years.md says, and nothing that lives."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.types import DagRunType
from runs import BUNDLE, read
from sqlalchemy import func, select, text

PAGE = BUNDLE.parents[1] / "docs/years.md"
LONG_AGO = datetime.now(UTC) - timedelta(days=300)


def past_run(dag: str, began: datetime) -> str:
    """A run whose tasks count as done, as the scheduler would have made it at that time."""
    done = read(BUNDLE / dag / "dag.py").dags[dag].test(mark_success_pattern=".*", logical_date=began)
    with create_session() as session:
        run = session.scalars(select(DagRun).filter_by(dag_id=dag, run_id=done.run_id)).one()
        run.run_type, run.start_date = DagRunType.SCHEDULED, began
        for task in session.scalars(select(TaskInstance).filter_by(dag_id=dag, run_id=done.run_id)):
            task.start_date = began
    return str(done.run_id)


def wait_since(run: str, began: datetime) -> None:
    """Its first task waits in the triggerer, and has been since then."""
    with create_session() as session:
        trigger = Trigger(classpath="airflow.providers.standard.triggers.file.FileTrigger", kwargs={})
        trigger.created_date = began
        session.add(trigger)
        session.flush()
        task = session.scalars(select(TaskInstance).filter_by(run_id=run, task_id="watch")).one()
        task.state, task.trigger_id = "deferred", trigger.id
        session.scalars(select(DagRun).filter_by(run_id=run)).one().state = "running"


def tasks(run: str) -> dict[str, str]:
    with create_session() as session:
        return {
            one.task_id: str(one.state) for one in session.scalars(select(TaskInstance).filter_by(run_id=run))
        }


def command(change: Any = lambda line: line) -> list[str]:
    """What the page says, from Airflow's own part of it on."""
    (line,) = re.findall(r"airflow db clean .*?(?=\n```)", PAGE.read_text(), re.S)
    before = (datetime.now(UTC) - timedelta(days=90)).strftime("%Y-%m-%dT%H:%M:%SZ")
    words = shlex.split(change(line.replace("\\\n", " ").replace("$before", before)))
    return [str(Path(sys.executable).with_name("airflow")), *words[1:]]


@pytest.fixture
def old() -> tuple[str, str, str]:
    """A run of long ago, the last one of that DAG, and a run that has waited since then for a file."""
    first = past_run("city_temperatures", LONG_AGO)
    last = past_run("city_temperatures", datetime.now(UTC) - timedelta(days=1))
    waits = past_run("file_drop", LONG_AGO)
    wait_since(waits, LONG_AGO)
    return first, last, waits


def clean(words: list[str]) -> str:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_old_runs_go_and_what_is_young_or_waits_stays(old):
    first, last, waits = old
    assert re.findall(r"not cleaned due to errors: (\[.*?\])", clean(command())) == ["['deadline']"]
    assert tasks(first) == {}
    assert set(tasks(last)) == {"extract", "summarise", "load", "check"}
    assert tasks(waits)["watch"] == "deferred"
    assert set(tasks(waits)) == {"watch", "take", "report"}
    with create_session() as session:
        left = select(func.count()).select_from(DagRun).where(DagRun.run_id.in_([first, last, waits]))
        assert session.scalar(left) == 2
        names = [
            row[0] for row in session.execute(text("select name from sqlite_master where type = 'table'"))
        ]
    assert not [name for name in names if name.startswith("_airflow_deleted__")], "no copy takes the room"


def test_without_the_page_s_words_a_run_that_waits_would_lose_its_task(old):
    """Airflow's own default takes the task of a run that has waited for longer: why the command is not shorter."""
    clean(command(lambda line: re.sub(r"--(?:tables|exclude-dag-ids) \S+", "", line)))
    assert "watch" not in tasks(old[2])
