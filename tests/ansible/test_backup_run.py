"""A run of the machine's program `backup` as a whole: one at a time, with room, and what is told of how it ended."""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from hangar_backup import making, program, spool, state
from hangar_backup.described import Described, Refused

from tests.ansible.backups import DESCRIBED, FIRST, SECOND, backup, sealed
from tests.ansible.backups import remembered as remembered


def test_a_backup_that_lacks_a_part_is_there_and_failed(
    remembered: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = backup(SECOND, sealed("secrets", SECOND))
    monkeypatch.setattr(
        making, "_make", lambda described: (made, ["Airflow's database: locked", "files: full"])
    )
    state.remember(good=5.0, last=FIRST)
    with pytest.raises(Refused) as refused:
        making.make(DESCRIBED)
    assert str(refused.value) == "Airflow's database: locked; files: full"
    found = state.read()
    assert (found.good, found.last, found.problem) == (5.0, FIRST, str(refused.value))
    monkeypatch.setattr(making, "_make", lambda described: (made, []))
    making.make(DESCRIBED)
    assert (state.read().last, state.read().problem) == (SECOND, "")


def test_a_backup_that_is_ended_says_so(remembered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """systemd's patience is at its end: the alert tells, and nothing plain is left."""

    def hang(described: Described) -> Any:
        making.WORK.mkdir()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)

    monkeypatch.setattr(making, "_make", hang)
    monkeypatch.setattr(program, "load", lambda: DESCRIBED)
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(Refused) as ended:
            program._run(["now"], None)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert state.read().problem == str(ended.value)
    assert str(ended.value) == (
        "The backup was ended before it was whole: it took too long, or somebody stopped it"
    )
    assert not making.WORK.exists()


def test_figures_tell_the_age_and_why_the_last_attempt_failed(tmp_path: Path) -> None:
    found = state.State(good=1764040500.4, problem='The backup was not sent to v: it is "full"')
    state.tell(DESCRIBED, found, tmp_path)
    assert (tmp_path / "backup.prom").read_text() == (
        "hangar_backup_max_age_seconds 129600\n"
        "hangar_backup_failed{why=\"The backup was not sent to v: it is 'full'\"} 1\n"
        "hangar_backup_last_success_timestamp_seconds 1764040500\n"
    )
    state.tell(DESCRIBED, found, tmp_path / "absent")


def test_where_there_never_was_a_backup_the_figures_tell_since_when(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not told cannot grow old; the first moment stays whatever fails afterwards."""
    monkeypatch.setattr(state, "read", functools.partial(state.read, tmp_path / "state.json"))
    monkeypatch.setattr(state, "write", functools.partial(state.write, path=tmp_path / "state.json"))
    monkeypatch.setattr(state, "now", lambda: 1764040500.4)
    state.remember()
    monkeypatch.setattr(state, "now", lambda: 1764999999.0)
    state.tell(DESCRIBED, state.remember(problem="it does not answer"), tmp_path)
    told = (tmp_path / "backup.prom").read_text()
    assert "hangar_backup_since_timestamp_seconds 1764040500\n" in told
    assert "last_success" not in told


def test_a_state_that_is_torn_is_forgotten(tmp_path: Path) -> None:
    (tmp_path / "state.json").write_text('{"good": ')
    assert state.read(tmp_path / "state.json") == state.State()


def fills_the_disk(given: object) -> None:
    making.WORK.mkdir(exist_ok=True)
    raise OSError(28, "No space left on device")


def test_a_failed_run_keeps_the_last_good_one_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HOME", "WORK", "SPOOL"):
        monkeypatch.setattr(making, name, tmp_path / name.lower().replace("home", ""))
    monkeypatch.setattr(state, "write", lambda found: kept.append((found, (tmp_path / "work").exists())))
    monkeypatch.setattr(state, "read", lambda: state.State(since=1.0, good=5.0, last=FIRST))
    monkeypatch.setattr(spool, "prune", lambda kept: None)
    monkeypatch.setattr(state, "tell", lambda described, found: None)
    monkeypatch.setattr(making, "_make", fills_the_disk)
    kept: list[tuple[state.State, bool]] = []
    with pytest.raises(Refused, match=r"No space left on device"):
        making.make(DESCRIBED)
    told = state.State(since=1.0, good=5.0, last=FIRST, problem="[Errno 28] No space left on device")
    assert kept == [(told, False)], "the copy makes room for the reason"


def test_a_disk_without_room_for_the_reason_ends_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can be kept then; the unit has failed, which is told while nobody says why."""
    for name in ("HOME", "WORK", "SPOOL"):
        monkeypatch.setattr(making, name, tmp_path / name.lower().replace("home", ""))
    monkeypatch.setattr(state, "write", fills_the_disk)
    monkeypatch.setattr(spool, "prune", lambda kept: None)
    monkeypatch.setattr(making, "_make", fills_the_disk)
    with pytest.raises(Refused, match=r"^\[Errno 28\] No space left on device$"):
        making.make(DESCRIBED)


def test_two_at_once_the_second_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    with making.alone(), pytest.raises(Refused, match="Another backup or restore is at work"), making.alone():
        pass


def test_a_backup_waits_for_whoever_is_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The night's would be left out for an `up` that is putting keys in place, and its unit called failed."""
    for name in ("HOME", "WORK", "SPOOL"):
        monkeypatch.setattr(making, name, tmp_path / name.lower().replace("home", ""))
    monkeypatch.setattr(spool, "prune", lambda kept: None)
    monkeypatch.setattr(state, "tell", lambda described, found: None)
    monkeypatch.setattr(making, "_make", lambda described: (backup(FIRST), []))
    monkeypatch.setattr(making, "_send", lambda described, found, whole: None)
    with contextlib.ExitStack() as somebody:
        somebody.enter_context(making.alone())
        waited: list[float] = []

        def sleep(seconds: float) -> None:
            waited.append(seconds)
            somebody.close()

        monkeypatch.setattr("time.sleep", sleep)
        assert making.make(DESCRIBED).id == FIRST
    assert waited == [0.5]


def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_copied(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The room that is left is the services'."""
    usage = shutil.disk_usage("/")._replace(free=300 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    making._require_room([])
    making._require_room([backup(FIRST, sealed("warehouse", FIRST, 10 * 2**20))])
    with pytest.raises(Refused) as refused:
        making._require_room([backup(FIRST, sealed("warehouse", FIRST, 100 * 2**20))])
    assert str(refused.value) == "The disk is nearly full: a backup needs 456 MiB, 300 MiB are free"
