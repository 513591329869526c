"""When elt is started, joined or left alone, and what is said when it fails."""

from typing import Any

import pytest

from hangar.elt import first_run
from hangar.elt.machine import AirflowRefused, AirflowSilent
from hangar.elt.records import Gold
from hangar.errors import HangarError

from .fake_airflow import PAST, TABLE, FakeMachine

BROKEN = AirflowRefused("how elt is getting on", 500, "the database restarts", "")
MADE = "2026-11-25T04:20:41Z"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "BETWEEN_LOOKS", 0.0)


def ensure(machine: FakeMachine, said: list[str] | None = None) -> tuple[Gold, bool]:
    def report(name: str, *_: Any) -> None:
        if said is not None:
            said.append(name)

    return first_run.ensure(machine, "local", report)  # type: ignore[arg-type] # has what is used of a machine


def started(machine: FakeMachine) -> int:
    return machine.calls.count("POST /dags/elt/dagRuns")


def test_a_fresh_machine_runs_elt_once() -> None:
    machine, said = FakeMachine(unread=2), list[str]()
    gold, done = ensure(machine, said)
    assert (gold.tables, gold.made, done) == ((TABLE,), MADE, True)
    assert gold.run.startswith("first_run__")
    assert not machine.is_paused
    assert said == ["look for the gold tables", "wait until Airflow has read elt", "elt: sync (try 2)"]
    again, done = ensure(machine)
    assert (again, done, started(machine)) == (gold, False, 1)


def test_a_run_that_the_schedule_brings_at_once_is_the_first_one() -> None:
    """A DAG that is switched on makes up for the last day."""
    machine = FakeMachine(next_run=PAST)
    gold, _ = ensure(machine)
    assert (gold.run, started(machine)) == ("scheduled__1", 0)


def test_a_due_run_that_does_not_come_is_not_waited_for_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "SCHEDULED", 0.05)
    machine = FakeMachine(next_run="2020-01-01T00:00:01Z")
    assert ensure(machine)[0].run.startswith("first_run__")


def test_what_a_killed_call_has_started_is_joined_even_where_it_is_paused() -> None:
    machine = FakeMachine()
    machine.add("first_run__1", "queued", "running", "success")
    gold, _ = ensure(machine)
    assert (gold.run, started(machine), machine.is_paused) == ("first_run__1", 0, False)


def test_gold_that_is_there_is_left_alone_whatever_came_later() -> None:
    machine = FakeMachine(tables=(TABLE,))
    machine.add("first_run__1", "success")
    machine.add("scheduled__2", "failed")
    gold, done = ensure(machine)
    assert (gold, done) == (Gold((TABLE,), "first_run__1", MADE), False)
    assert {call.split()[0] for call in machine.calls} == {"GET"}


def test_gold_of_which_airflow_remembers_nothing_is_left_alone() -> None:
    """A warehouse that came from elsewhere."""
    machine = FakeMachine(tables=(TABLE,))
    assert ensure(machine) == (Gold((TABLE,)), False)


def test_half_of_gold_is_none() -> None:
    """A run that died between two tables is made up for."""
    machine = FakeMachine(tables=(TABLE,))
    machine.add("first_run__1", "failed")
    assert ensure(machine)[1]
    assert started(machine) == 1


def test_a_dag_that_is_not_released_is_not_run() -> None:
    machine = FakeMachine(released=False)
    assert ensure(machine) == (Gold(), False)
    assert machine.calls == []


def test_a_run_that_fails_says_why_in_the_words_of_who_failed() -> None:
    machine = FakeMachine(path=("queued", "running", "failed"))
    with pytest.raises(HangarError) as failed:
        ensure(machine)
    (run,) = [run["dag_run_id"] for run in machine.runs]
    assert failed.value == HangarError(
        "The first run of elt failed.",
        f"* sync: Airbyte's job 1 failed: the disk is full\n* Run: {run}",
        "Once its cause is mended, try again: ./provision.py up local\n"
        f"Its page: ./provision.py tunnel local, then /dags/elt/runs/{run} of Airflow\n"
        "To leave it out: pipelines.first_run: false in platform.yml",
    )
    machine.path = ("queued", "success")
    assert ensure(machine)[0].tables == (TABLE,)
    assert started(machine) == 2


def test_a_dag_that_airflow_cannot_read_is_not_waited_for() -> None:
    trace = "Traceback (most recent call last):\n  File …\nImportError: no module named shop\n"
    machine = FakeMachine(unread=10, import_errors=[{"filename": "elt/dag.py", "stack_trace": trace}])
    with pytest.raises(HangarError) as failed:
        ensure(machine)
    assert failed.value.brief == "Airflow has not read the DAG elt."
    assert failed.value.details == "* ImportError: no module named shop"
    assert failed.value.resolution.endswith("./provision.py up local")


def test_airflow_may_restart_while_it_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    machine, said = FakeMachine(trouble=[AirflowSilent("It is silent."), BROKEN]), list[str]()
    assert ensure(machine, said)[0].tables == (TABLE,)
    assert said.count("wait for Airflow to answer") == 2
    monkeypatch.setattr(first_run, "SILENT", 0.0)
    for trouble in (AirflowSilent("It is silent."), BROKEN):
        with pytest.raises(type(trouble)) as silent:
            ensure(FakeMachine(trouble=[trouble] * 2))
        assert silent.value is trouble


def test_a_refusal_is_no_silence() -> None:
    refusal = AirflowRefused("how elt is getting on", 403, "Forbidden", "")
    with pytest.raises(AirflowRefused) as refused:
        ensure(FakeMachine(trouble=[refusal]))
    assert refused.value is refusal


def test_a_run_that_does_not_end_goes_on_without_us(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(first_run, "WATCHED", 0.0)
    machine = FakeMachine(path=("queued", "running"))
    with pytest.raises(HangarError, match="has not ended within 0 minutes") as late:
        ensure(machine)
    assert late.value.resolution.startswith("Wait for it: ./provision.py up local")


@pytest.mark.parametrize(("task", "words"), [
    ({"task_id": "sync", "state": "up_for_reschedule", "try_number": 1}, "elt: sync"),
    ({"task_id": "sync", "state": "up_for_retry", "try_number": 1}, "elt: sync failed and is tried again soon"),
    ({"task_id": "sync", "state": None, "try_number": 0}, "elt: between two tasks"),
])  # fmt: skip
def test_progress_names_the_task_at_work(task: dict[str, Any], words: str) -> None:
    assert first_run.progress([task, {"task_id": "done", "state": "success", "try_number": 1}]) == (words, 1)
