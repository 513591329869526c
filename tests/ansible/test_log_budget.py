"""The machine's program `airflow-logs`: which logs of tasks go where they take too much room, and which never do."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles/airflow/templates/usr/local/sbin/airflow-logs"
MIB = 1 << 20
HOUR = 3600
Write = Callable[..., Path]


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    loader = importlib.machinery.SourceFileLoader("airflow_logs", str(PROGRAM))
    spec = importlib.util.spec_from_loader("airflow_logs", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "airflow_logs", module)
    loader.exec_module(module)
    monkeypatch.setattr(module, "FOLDER", str(tmp_path / "logs"))
    return module


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the log of a try, so many hours old."""

    def make(path: str, hours: float, mib: float = 1) -> Path:
        made = tmp_path / "logs" / path
        made.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(b"x" * int(mib * MIB))
        os.utime(made, (time.time() - hours * HOUR,) * 2)
        return made

    return make


def run(number: int, task: str = "load") -> str:
    return f"dag_id=sales/run_id=manual__{number}/task_id={task}/attempt=1.log"


def tidy(logs: ModuleType, monkeypatch: pytest.MonkeyPatch, mib: float) -> None:
    monkeypatch.setattr(sys, "argv", ["airflow-logs", str(int(mib * MIB))])
    logs.main()


def test_the_oldest_runs_go_first_and_whole_and_no_more_than_needed(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [write(run(1), 50), write(run(1, "extract"), 90), write(run(2), 40)]
    kept = [write(run(3), 30), write(run(3, "extract"), 80), write(run(4), 2)]
    tidy(logs, monkeypatch, 3.5)
    assert [path.exists() for path in gone] == [False] * 3
    assert [path.exists() for path in kept] == [True] * 3
    assert sorted(one.name for one in Path(logs.FOLDER, "dag_id=sales").iterdir()) == [
        "run_id=manual__3",
        "run_id=manual__4",
    ]
    assert capsys.readouterr() == ("removed 3 MiB of the oldest logs of tasks\n", "")


def test_within_the_budget_nothing_goes(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = write(run(1), 500)
    tidy(logs, monkeypatch, 1.5)
    assert kept.exists()
    assert capsys.readouterr() == ("", "")


def test_what_is_being_written_stays_however_old_and_is_told(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A task that is silent for days has its log open all the while."""
    silent, ended = write(run(1), 90), write(run(2), 3)
    beside = write(run(1, "extract"), 95)
    with subprocess.Popen(
        ["sh", "-c", 'exec >> "$0"; echo open >&2; read -r _', silent],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as task:
        assert task.stderr is not None
        assert task.stderr.readline() == b"open\n"
        tidy(logs, monkeypatch, 0)
        assert silent.exists()
        assert beside.exists()
        assert not ended.exists()
        assert capsys.readouterr().err == (
            "logs of tasks take 2 MiB, 0 are meant for them: what is written to, or was within the hour, stays\n"
        )
        task.communicate(b"\n")
    tidy(logs, monkeypatch, 0)
    assert not silent.exists()


def test_a_run_that_was_written_to_within_the_hour_stays(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    between = [write(run(1, "extract"), 60), write(run(1), 0.5)]
    tidy(logs, monkeypatch, 0)
    assert all(path.exists() for path in between)


def test_whoever_reads_a_log_does_not_keep_it(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = write(run(1), 60)
    with read.open():
        tidy(logs, monkeypatch, 0)
    assert not read.exists()


def test_what_belongs_to_no_run_goes_file_by_file(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write("dag_processor/2026-01-01/released/sales.py.log", 50)
    new = write("dag_processor/2026-01-02/released/sales.py.log", 20)
    stray = write("dag_id=sales/stray.log", 40)
    tidy(logs, monkeypatch, 1.5)
    assert [path.exists() for path in (old, stray, new)] == [False, False, True]


def test_no_link_leads_elsewhere(
    tmp_path: Path, logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "data"
    (elsewhere / "task_id=load").mkdir(parents=True)
    kept = elsewhere / "task_id=load/attempt=1.log"
    kept.write_bytes(b"x" * MIB)
    os.utime(kept, (0, 0))
    old = write(run(1), 60)
    for link in ("dag_id=x", "dag_id=sales/run_id=x", "dag_id=sales/run_id=manual__1/task_id=x"):
        made = Path(logs.FOLDER, link)
        made.symlink_to(elsewhere)
        os.utime(made, (0, 0), follow_symlinks=False)
    tidy(logs, monkeypatch, 0)
    assert not old.exists()
    assert kept.exists()


def test_neither_pipes_nor_depth_nor_closed_folders_hold_it_up(
    logs: ModuleType, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = write(run(1), 60)
    pipe = old.parent / "attempt=2.log"
    os.mkfifo(pipe)
    os.utime(pipe, (0, 0))
    deep = Path(logs.FOLDER, "dag_id=sales/run_id=deep" + "/d" * 1500)
    for folder in reversed((deep, *deep.parents)):
        folder.mkdir(exist_ok=True)
    try:
        tidy(logs, monkeypatch, 0)
    finally:
        subprocess.run(["rm", "-rf", logs.FOLDER + "/dag_id=sales/run_id=deep"], check=True)
    assert not old.exists()
    assert not pipe.exists()


def test_no_logs_are_no_fault(logs: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    tidy(logs, monkeypatch, 0)
