"""The machine's program `maintenance`: it starts nothing anew while something runs, and leaves no Airflow drained."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest
from hangar_maintenance import draining, program
from hangar_maintenance.airflow import Airflow, Unreachable

from tests.ansible.windows import POOLS, Stand, asked, lasts, measured, run
from tests.ansible.windows import stand as stand
from tests.foreign import foreign as foreign


def test_a_machine_with_nothing_to_do_starts_anew_and_stays_drained_until_then(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("run") == 0
    assert asked(tmp_path) == ["reboot"]
    assert stand.pools == dict.fromkeys(POOLS, 0)
    assert "Starting anew" in capsys.readouterr().out
    # What systemd calls when the program has ended does not undo it.
    assert run("resume") == 0
    assert stand.pools == dict.fromkeys(POOLS, 0)


def test_after_the_start_tasks_begin_again(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run("run")
    monkeypatch.setattr(draining, "this_start", lambda: "the next one")
    assert run("resume") == 0
    assert stand.pools == POOLS
    assert "Tasks begin again." in capsys.readouterr().out
    assert not (tmp_path / "drained.json").exists()
    stand.patched.clear()
    assert run("resume") == 0
    assert stand.patched == []


def test_a_task_that_runs_is_not_ended(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lasts(tmp_path, 0.02)
    stand.tasks = [("elt", "build")]
    assert run("run") == 0
    said = capsys.readouterr().out
    assert "Waiting for: elt.build\n" in said
    assert "The window has closed, and this still ran: elt.build. The next window tries again." in said
    assert asked(tmp_path) == []
    assert stand.pools == POOLS
    assert (next(iter(POOLS)), 0) in stand.patched


def test_a_reboot_that_one_window_missed_comes_in_the_next(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """However many windows a long task fills: the need outlives them, and between two of them tasks begin."""
    lasts(tmp_path, 0.02)
    stand.tasks = [("elt", "build")]
    for _ in range(3):
        assert run("run") == 0
        assert asked(tmp_path) == []
        assert stand.pools == POOLS
        assert not (tmp_path / "drained.json").exists()
    assert capsys.readouterr().out.count("The next window tries again.") == 3
    lasts(tmp_path, 5)
    stand.tasks.clear()
    assert run("run") == 0
    assert asked(tmp_path) == ["reboot"]


def test_without_a_window_nobody_is_said_to_try_again(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lasts(tmp_path, 0.02)
    place = tmp_path / "maintenance.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "window": ""}))
    stand.tasks = [("elt", "build")]
    assert run("run") == 0
    assert (
        "The time for it is over, and this still ran: elt.build. "
        "Nobody tries again by itself: sudo maintenance run, or name a window"
    ) in capsys.readouterr().out
    assert stand.pools == POOLS


def test_tasks_begin_while_a_backup_is_made_and_none_sees_pools_lose_their_slots(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    looks = iter([True] * 5)

    def at_work(unit: str) -> bool:
        if unit == "hangar-backup.service" and next(looks, False):
            assert stand.patched == []
            assert not (tmp_path / "drained.json").exists()
            return True
        return False

    monkeypatch.setattr(program, "is_at_work", at_work)
    assert run("run") == 0
    assert asked(tmp_path) == ["reboot"]
    assert capsys.readouterr().out.startswith("Waiting for: hangar-backup.service\n")


def test_a_backup_that_fills_the_window_takes_no_pool_its_slots(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lasts(tmp_path, 0.002)
    monkeypatch.setattr(program, "is_at_work", lambda unit: unit == "hangar-backup.service")
    assert run("run") == 0
    assert "The window has closed, and this still ran: hangar-backup.service." in capsys.readouterr().out
    assert (stand.patched, asked(tmp_path)) == ([], [])


def test_a_window_that_was_killed_in_its_wait_leaves_the_next_one_whole(stand: Stand, tmp_path: Path) -> None:
    draining.begin(stand.airflow)  # it waited, and was killed; systemd lets tasks begin (ExecStopPost)
    assert run("resume") == 0
    assert stand.pools == POOLS
    assert run("run") == 0
    assert asked(tmp_path) == ["reboot"]
    assert json.loads((tmp_path / "drained.json").read_text())["pools"] == POOLS


def test_it_starts_anew_when_the_last_task_has_ended(stand: Stand, tmp_path: Path) -> None:
    (tmp_path / "maintenance.json").write_text(
        json.dumps(
            {
                "airflow": stand.server.server_port,
                "airbyte": True,
                "services": ["airflow", "airbyte"],
                "minutes": 1,
            }
        )
    )
    stand.tasks = [("elt", "build")]
    threading.Timer(0.3, stand.tasks.clear).start()
    began = time.monotonic()
    assert run("run") == 0
    assert time.monotonic() - began >= 0.3
    assert asked(tmp_path) == ["reboot"]


def test_a_job_of_airbytes_is_waited_for(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lasts(tmp_path, 0.02)
    measured(tmp_path / "platform.prom", jobs=2)
    run("run")
    assert "this still ran: 2 of Airbyte's jobs." in capsys.readouterr().out
    assert asked(tmp_path) == []


def test_what_was_measured_before_the_drain_tells_nothing_of_the_jobs(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lasts(tmp_path, 0.02)
    measured(tmp_path / "platform.prom", age=60)
    run("run")
    assert "the monitoring has not looked at airbyte lately" in capsys.readouterr().out
    assert asked(tmp_path) == []


@pytest.mark.parametrize(("needed", "age", "said"), [
    (0, 5, ""),
    (1, 900, "maintenance: the monitoring has not looked at reboot lately"),
])  # fmt: skip
def test_without_a_need_that_is_known_nothing_is_touched(
    stand: Stand, tmp_path: Path, needed: int, age: float, said: str
) -> None:
    measured(tmp_path / "platform.prom", needed=needed, age=age)
    assert run("run") == (said or 0)
    assert (stand.patched, asked(tmp_path)) == ([], [])


def test_a_reboot_that_somebody_wants_asks_nobody_whether_it_is_needed(stand: Stand, tmp_path: Path) -> None:
    measured(tmp_path / "platform.prom", needed=0)
    assert run("run", "--reboot") == 0
    assert asked(tmp_path) == ["reboot"]


def test_a_system_that_refuses_leaves_airflow_at_work(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAILS", "reboot")
    assert str(run("run")).startswith("maintenance: the system does not start anew")
    assert stand.pools == POOLS


def test_killed_between_two_pools_it_remembers_the_first_numbers(stand: Stand, tmp_path: Path) -> None:
    draining.begin(stand.airflow)
    stand.pools["air/byte"] = 2  # it died before this one
    draining.begin(stand.airflow)  # and somebody runs it again
    assert json.loads((tmp_path / "drained.json").read_text())["pools"] == POOLS
    assert run("resume") == 0
    assert stand.pools == POOLS


def test_a_pool_that_somebody_changed_meanwhile_is_theirs(stand: Stand) -> None:
    draining.begin(stand.airflow)
    stand.pools["default_pool"] = 7
    del stand.pools["air/byte"]
    assert run("resume") == 0
    assert stand.pools == {"default_pool": 7}


def test_an_airflow_that_refuses_is_not_started_anew_over_its_tasks(stand: Stand, tmp_path: Path) -> None:
    stand.refuse["PATCH"] = 403
    assert str(run("run")).startswith(
        "maintenance: Airflow refused PATCH /pools/default_pool?update_mask=slots: HTTP 403"
    )
    assert asked(tmp_path) == []


def test_an_airflow_that_does_not_come_back_is_said_and_tried_again_later(
    stand: Stand, tmp_path: Path
) -> None:
    draining.begin(stand.airflow)
    stand.refuse["GET"] = 503
    assert "HTTP 503" in str(run("resume"))
    assert (tmp_path / "drained.json").exists()


def test_a_token_that_has_run_out_is_renewed(stand: Stand) -> None:
    assert stand.airflow.pools() == POOLS
    stand.tokens += 1  # the one before is worth nothing now
    assert stand.airflow.pools() == POOLS


def test_two_at_once_are_one(stand: Stand, tmp_path: Path) -> None:
    import fcntl

    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert (
            run("run")
            == "maintenance: another maintenance or an upgrade is at work: journalctl -u hangar-maintenance"
        )
    assert stand.patched == []


def test_a_dead_airflow_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    with pytest.raises(Unreachable, match="Airflow does not answer"):
        Airflow(1, tmp_path / "password").pools()


def test_what_answers_otherwise_than_airflow_is_unreachable(foreign: int, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("x")
    with pytest.raises(Unreachable, match=r"Airflow does not answer: SSH-2\.0-OpenSSH_10\.0"):
        Airflow(foreign, tmp_path / "password").pools()


def test_another_word_is_answered_with_what_there_is(stand: Stand) -> None:
    assert run("rum") == "usage"


def test_who_is_at_work_gives_the_slots_back_and_nobody_else(stand: Stand, tmp_path: Path) -> None:
    """Systemd resumes whenever the window's unit ends, even where that was refused because of an upgrade."""
    import fcntl

    draining.begin(stand.airflow)
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert run("resume") == 0
        assert stand.pools == dict.fromkeys(POOLS, 0)
    assert run("resume") == 0
    assert stand.pools == POOLS
