"""A line of a log, read: of the journal, of a container, of a task."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hangar_monitoring import entries, logs, task_logs
from hangar_monitoring.described import Refused


def test_a_line_of_the_journal_is_read() -> None:
    line = {"__REALTIME_TIMESTAMP": "1764000000000000", "PRIORITY": "3", "MESSAGE": list(b"a \x1b[31mbad\x1b[0m day"),
            "_SYSTEMD_UNIT": "ssh.service"}  # fmt: skip
    found = entries.of_journal(json.dumps(line), "ssh")
    assert found is not None
    assert (found.service, found.level, found.message) == ("ssh", "error", "a bad day")
    assert entries.of_journal(json.dumps({**line, "MESSAGE": None}), "ssh") is None


def test_a_line_of_a_container_is_read_with_the_job_that_it_names() -> None:
    found = entries.of_container(
        "engine-1  | 2026-11-25T05:00:00.123456789Z WARNING job 42 is slow", "airbyte"
    )
    assert found is not None
    assert found.as_text() == "2026-11-25 05:00:00 airbyte/engine: WARNING WARNING job 42 is slow  [job=42]"
    line = "scheduler-1  | 2026-11-25T05:00:00Z 05:00 [error    ] Task failed dag_id=sales run_id=manual__1 loc=x.py:1"
    found = entries.of_container(line, "airflow")
    assert found is not None
    assert (found.level, found.about) == ("error", {"dag": "sales", "run": "manual__1"})
    assert entries.of_container("no time at all", "airbyte") is None


def test_a_line_of_a_task_names_dag_run_task_and_try(tmp_path: Path) -> None:
    path = tmp_path / "dag_id=sales/run_id=manual__1/task_id=load/attempt=2.log"
    path.parent.mkdir(parents=True)
    path.write_text("")
    (found,) = task_logs.find(tmp_path, 0)
    assert tmp_path.joinpath(*found.parts) == path
    line = json.dumps({"timestamp": "2026-11-25T05:00:00Z", "level": "error", "event": "it broke"})
    entry = entries.of_task(line, found.about, datetime(2026, 1, 1, tzinfo=UTC))
    assert json.loads(entry.as_json()) == {
        "time": "2026-11-25T05:00:00+00:00", "service": "airflow/task", "level": "error", "message": "it broke",
        "dag": "sales", "run": "manual__1", "task": "load", "try": "2",
    }  # fmt: skip


@pytest.mark.parametrize("asked", ["", "[]", "{}", '{"sources": [], "lines": "x"}'])
def test_a_question_that_is_none_is_refused(asked: str) -> None:
    with pytest.raises(Refused, match="asked for as JSON"):
        logs.parse(asked)
