"""Images that lack fixes: made while all goes on, taken once nothing runs, left to an upgrade that is at work."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hangar_maintenance import images, program

from tests.ansible.windows import POOLS, Stand, asked, lasts, measured, run
from tests.ansible.windows import stand as stand


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
    monkeypatch.setattr(program, "is_at_work", lambda unit: unit == "hangar-upgrade-hold.service")
    (tmp_path / "airflow/state/images-outdated").touch()
    assert run("images") == 0
    assert asked(tmp_path) == []
    assert capsys.readouterr().out == "hangar-upgrade-hold.service is at work and makes the images itself.\n"
