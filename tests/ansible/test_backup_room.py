"""A backup and a restore leave the databases room on the disk that they share: one that is full stops them all."""

from __future__ import annotations

import contextlib
import io
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import hangar_bounds
import pytest
from hangar_backup import making, putting_back, room, state
from hangar_backup.described import Refused
from hangar_backup.parts import Part

from tests.ansible.backups import DESCRIBED, SECOND, sealed

LITTLE = room.LEAST - 1
Free = Callable[[int], None]


@pytest.fixture
def free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Free:
    """Says how much the disk has left from now on; enough at first."""
    now = {"free": room.LEAST}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: SimpleNamespace(**now))
    monkeypatch.setattr(room, "LOOK_EVERY", 0.01)
    return lambda left: now.update(free=left)


def test_what_fills_the_disk_is_ended_with_the_program_that_it_runs(
    free: Free, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the first look falls into the program's start."""
    monkeypatch.setattr(room, "LOOK_EVERY", 0.0005)

    def fill() -> None:
        with room.left():
            free(LITTLE)
            hangar_bounds.run(["sleep", "60.25"], seconds=None)

    with pytest.raises(Refused, match="the disk is nearly full: ended when 127 MiB were left"):
        fill()
    assert subprocess.run(["pgrep", "-fx", "sleep 60.25"], check=False).returncode == 1, "it has ended"


def test_with_room_nothing_is_ended_and_nobody_looks_afterwards(free: Free) -> None:
    before = signal.getsignal(signal.SIGALRM)
    with room.left():
        time.sleep(0.1)
    free(LITTLE)
    time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) == before


def test_a_part_that_would_fill_the_disk_fails_and_the_others_are_made(
    free: Free, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trial takes as much room as the database itself, however small its dump is."""
    monkeypatch.setattr(making, "WORK", tmp_path)
    monkeypatch.setattr(making, "seal", lambda plain, name, made, spool, tables: sealed(name, made))

    def tried(plain: Path) -> int:
        free(LITTLE)
        try:
            time.sleep(60)
        finally:
            free(room.LEAST)  # the scratch database is gone
        return 0

    parts = [
        Part(name, name, lambda: "", lambda place: place.touch(), trial=trial)
        for name, trial in (("secrets", lambda plain: 1), ("warehouse", tried), ("files", lambda plain: 1))
    ]
    maker = making.Maker(DESCRIBED, SECOND, [], state.State())
    assert [one.part for one in maker.all_of(parts)] == ["secrets", "files"]
    assert maker.failed == [
        f"warehouse: the disk is nearly full: ended when 127 MiB were left. {SECOND} is without it"
    ]


@pytest.mark.parametrize("full", [True, False])
def test_what_is_given_to_a_machine_without_room_does_not_stay_there(
    full: bool, free: Free, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "HOME", tmp_path)
    monkeypatch.setattr(putting_back, "INCOMING", tmp_path / "incoming")
    putting_back.receive("secrets", io.BytesIO(b"keys"))

    class Endless(io.BytesIO):
        """More than there is room for; or the disk is full before anybody has looked."""

        def read(self, size: int | None = -1) -> bytes:
            if full:
                raise OSError(28, "No space left on device")
            free(LITTLE)
            return b"x"

    with pytest.raises(Refused, match=r"^The part warehouse cannot be kept: .*(No space left|nearly full)"):
        putting_back.receive("warehouse", Endless())
    assert not (tmp_path / "incoming").exists()


@pytest.mark.parametrize("load", ["airflow", "warehouse"])
@pytest.mark.parametrize("fails", [True, False])
def test_a_database_that_does_not_load_whole_gives_its_room_back_and_the_old_one_stays(
    load: str, fails: bool, free: Free, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    (tmp_path / "dump").touch()

    def run(argv: list[object], what: str, *, text: str = "", **_: object) -> str:
        told.append(text)
        if what == "Restoring Airflow's database" and fails:
            raise Refused("No space left")
        return ""

    def by_owners(self: object, roles: object) -> None:
        if fails:
            raise Refused("No space left")

    monkeypatch.setattr(putting_back, "run", run)
    monkeypatch.setattr(putting_back.Load, "by_owners", by_owners)
    with pytest.raises(Refused, match="No space left") if fails else contextlib.nullcontext():
        if load == "airflow":
            putting_back._airflow(tmp_path / "dump")
        else:
            putting_back._warehouse(DESCRIBED, tmp_path / "dump", [])
    if fails:
        assert told[-1] == "drop database if exists restored with (force);"
    else:
        assert "alter database restored rename to" in told[-1]


def test_files_that_do_not_fit_leave_those_that_are_there(
    free: Free, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unpack(archive: Path, folder: Path) -> None:
        free(LITTLE)
        time.sleep(60)

    monkeypatch.setattr(putting_back, "WORK", tmp_path)
    monkeypatch.setattr(putting_back.files, "unpack", unpack)
    monkeypatch.setattr(putting_back.files, "replace", lambda *_: pytest.fail("half of it took their place"))
    with pytest.raises(Refused, match="the disk is nearly full"):
        putting_back._files(tmp_path / "files.tar")
    with pytest.raises(Refused, match="the disk is nearly full"):
        putting_back._airbyte(tmp_path / "airbyte.tar")
