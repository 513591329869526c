"""The machine's program `maintenance`: it starts nothing anew while something runs, and leaves no Airflow drained."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

import pytest
from hangar_maintenance import draining, figures, images, program
from hangar_maintenance.airflow import Airflow, Unreachable

from tests.foreign import foreign as foreign

AS_SERVICE = """#!/bin/sh
echo "$@" >> {0}/asked
case "$1 $3" in
  "$FAILS") echo 'no such mirror' >&2; exit 1;;
  *" updates") ;;
  *" build") mv {0}/$1/state/images-outdated {0}/$1/state/stack-changed;;
  *) rm {0}/$1/state/stack-changed;;
esac
"""
"""What the roles' own programs do with their marks."""

POOLS = {"default_pool": 128, "air/byte": 2}


class Stand:
    """What the program asks of Airflow's API, with the rules that it meets there."""

    def __init__(self, password: Path) -> None:
        self.pools, self.tasks, self.patched = dict(POOLS), [], []
        self.tokens = 0
        self.refuse: dict[str, int] = {}
        stand = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"null")
                status, data = stand.answer(self.command, self.path, body, self.headers.get("Authorization"))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(data).encode())

            do_GET = do_POST = do_PATCH = answer

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        password.write_text("the-password\n")
        self.airflow = Airflow(self.server.server_port, password)

    def answer(self, method: str, path: str, body: Any, token: str | None) -> tuple[int, Any]:
        where = urlparse(path)
        if where.path == "/auth/token":
            self.tokens += 1
            assert body == {"username": "admin", "password": "the-password"}
            return 201, {"access_token": str(self.tokens)}
        if token != f"Bearer {self.tokens}":
            return 401, {"detail": "Not authenticated"}
        if method in self.refuse:
            return self.refuse[method], {"detail": "no"}
        if method == "PATCH":
            name = unquote(where.path.removeprefix("/api/v2/pools/"))
            assert parse_qs(where.query) == {"update_mask": ["slots"]}
            # Airflow's own rule (core_api/services/public/pools.py): a pool is judged whole, but for the default one.
            if name != "default_pool" and not {"pool", "slots", "include_deferred"} <= set(body):
                return 422, {"detail": "Field required"}
            self.pools[name] = body["slots"]
            self.patched.append((name, body["slots"]))
            return 200, {}
        if where.path == "/api/v2/pools":
            return 200, {
                "pools": [
                    {"name": name, "slots": slots, "include_deferred": False}
                    for name, slots in self.pools.items()
                ]
            }
        assert where.path == "/api/v2/dags/~/dagRuns/~/taskInstances"
        assert parse_qs(where.query)["state"] == ["running", "queued", "restarting"]
        return 200, {"task_instances": [{"dag_id": dag, "task_id": task} for dag, task in self.tasks]}


@pytest.fixture
def stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stand]:
    """An Airflow, and a machine whose every command is written down instead of done."""
    stand = Stand(tmp_path / "admin_password")
    described = tmp_path / "maintenance.json"
    described.write_text(
        json.dumps(
            {
                "airflow": stand.server.server_port,
                "airbyte": True,
                "services": ["airflow", "airbyte"],
                "minutes": 5,  # as long as it takes on a busy computer
                "window": "Sun 03:00-05:00",
            }
        )
    )
    measured(tmp_path / "platform.prom")
    monkeypatch.setattr(program, "DESCRIBED", described)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(program, "Airflow", lambda port: stand.airflow)
    for call in (draining.begin, draining.announce, draining.renounce):
        monkeypatch.setattr(call, "__defaults__", (tmp_path / "drained.json",))
    monkeypatch.setattr(draining.end, "__defaults__", (tmp_path / "drained.json", 0.2))
    monkeypatch.setattr(figures.value, "__defaults__", (None, tmp_path / "platform.prom"))
    monkeypatch.setattr(draining, "PLACE", tmp_path / "drained.json")
    monkeypatch.setattr(draining, "LOOK_EVERY", 0.01)
    bin = tmp_path / "bin"
    bin.mkdir()
    (bin / "systemctl").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n[ "$1" != "$FAILS" ]\n')
    (bin / "systemctl").chmod(0o755)
    (bin / "as-service").write_text(AS_SERVICE.format(tmp_path))
    (bin / "as-service").chmod(0o755)
    monkeypatch.setattr(images, "HOMES", tmp_path)
    for user in ("airflow", "airbyte"):
        (tmp_path / user / "state").mkdir(parents=True)
    monkeypatch.setenv("PATH", f"{bin}:{os.environ['PATH']}")
    yield stand
    stand.server.shutdown()


def lasts(tmp_path: Path, minutes: float) -> None:
    """The window is as long as that from now on."""
    place = tmp_path / "maintenance.json"
    place.write_text(json.dumps({**json.loads(place.read_text()), "minutes": minutes}))


def measured(place: Path, needed: int = 1, jobs: int = 0, age: float = -600) -> None:
    """What the monitoring's file says; `age` seconds ago (below zero: it looks again while we wait)."""
    at = int(time.time() - age)
    place.write_text(
        f"hangar_reboot_needed {needed}.0\nhangar_airbyte_jobs_running {jobs}.0\n"
        + "".join(
            f'hangar_measured_timestamp_seconds{{source="{name}"}} {at}\n' for name in ("reboot", "airbyte")
        )
    )


def asked(tmp_path: Path) -> list[str]:
    place = tmp_path / "asked"
    return (
        [line for line in place.read_text().splitlines() if "is-active" not in line] if place.exists() else []
    )


def run(*argv: str) -> int | str:
    """How the program ends: 0, or what it says on standard error."""
    try:
        program.main(list(argv), "usage")
    except SystemExit as end:
        return end.code or 0
    return 0


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


def test_outdated_images_are_made_first_and_taken_once_nothing_runs(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measured(tmp_path / "platform.prom", needed=0)
    (tmp_path / "airbyte/state/images-outdated").touch()
    assert run("run") == 0
    build, ensure = asked(tmp_path)
    assert build == "airbyte /usr/local/lib/hangar/service-images build"
    assert ensure.startswith("airbyte ")
    assert ensure.endswith("/airbyte/stack/ensure")
    assert stand.pools == POOLS
    assert stand.patched[0][1] == 0
    assert (
        capsys.readouterr().out == "Making the images of airbyte anew.\nTaking the new images of airbyte.\n"
    )


def test_new_images_wait_for_the_next_window_where_a_task_still_runs(stand: Stand, tmp_path: Path) -> None:
    lasts(tmp_path, 0.02)
    measured(tmp_path / "platform.prom", needed=0)
    stand.tasks = [("elt", "build")]
    (tmp_path / "airflow/state/images-outdated").touch()
    assert run("run") == 0
    assert asked(tmp_path) == ["airflow /usr/local/lib/hangar/service-images build"]
    assert images.are_new("airflow")
    lasts(tmp_path, 5)
    stand.tasks.clear()
    assert run("run") == 0
    assert not images.are_new("airflow")


def test_images_that_took_the_whole_window_are_taken_in_the_next(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor does the machine start anew past its window."""
    lasts(tmp_path, 0.02)
    build = images.build

    def slow(user: str, say: Callable[[str], None]) -> None:
        build(user, say)
        threading.Event().wait(0.8)

    monkeypatch.setattr(images, "build", slow)
    (tmp_path / "airflow/state/images-outdated").touch()
    assert run("run") == 0
    assert "The window has closed meanwhile. The next window tries again." in capsys.readouterr().out
    assert images.are_new("airflow")
    assert not any("reboot" in one for one in asked(tmp_path))
    assert stand.pools == POOLS


def test_an_image_that_cannot_be_made_changes_nothing(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "airflow build")
    (tmp_path / "airflow/state/images-outdated").touch()
    assert run("run") == (
        "maintenance: /usr/local/lib/hangar/service-images of airflow ended with 1: no such mirror"
    )
    assert stand.patched == []


WAIT = "; containers take them in the window, or with the next `up`, `upgrade apply` or start."


def test_images_get_debians_fixes_while_all_goes_on(
    stand: Stand, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every week, window or none: nobody's task waits, no container stops."""
    stand.tasks = [("elt", "build")]
    (tmp_path / "airflow/state/images-outdated").touch()
    assert run("images") == 0
    program_ = "/usr/local/lib/hangar/service-images"
    assert asked(tmp_path) == [
        f"airflow {program_} updates", f"airflow {program_} build", f"airbyte {program_} updates",
    ]  # fmt: skip
    assert stand.patched == []
    assert images.are_new("airflow")
    assert capsys.readouterr().out == (
        "Making the images of airflow anew.\n"
        f"The images of airflow have Debian's fixes{WAIT}\n"
        "The images of airbyte have Debian's fixes.\n"
    )


def test_images_of_one_service_that_fail_keep_no_other_from_theirs(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FAILS", "airflow updates")
    (tmp_path / "airbyte/state/images-outdated").touch()
    assert run("images") == (
        "maintenance: /usr/local/lib/hangar/service-images of airflow ended with 1: no such mirror"
    )
    assert images.are_new("airbyte")


def test_images_are_left_to_an_upgrade_that_may_put_the_old_ones_back(
    stand: Stand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(program, "_is_at_work", lambda unit: unit == "hangar-upgrade-hold.service")
    (tmp_path / "airflow/state/images-outdated").touch()
    assert run("images") == 0
    assert asked(tmp_path) == []
    assert capsys.readouterr().out == "hangar-upgrade-hold.service is at work and makes the images itself.\n"


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
