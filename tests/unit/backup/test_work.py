"""What `backup now` leaves here when the machine could not send its backup on."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hangar import paths, process
from hangar.backup import work
from hangar.backup.folder import Folder
from hangar.backup.machine import BackupFailed, Machine, Spool
from hangar.backup.records import Backup, Sealed
from hangar.config import Config
from hangar.errors import HangarError
from tests.unit.backup.conftest import Make, Sign

FIRST = "20261101T031500Z"


def spool_of(place: Path, *backups: Backup) -> dict[str, Callable[..., object]]:
    """A machine whose spool is a folder."""
    return {
        "show": lambda self: Spool(backups, (), 0.0, "", "", "", made=backups[0].id),
        "get": lambda self, name, fresh, most: shutil.copy(place / name, fresh),
    }


def test_what_could_not_be_sent_on_comes_here_and_the_failure_is_told(
    settings: Config, folder: Folder, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(FIRST)
    shutil.move(folder.path, tmp_path / "spool")

    def not_sent(self: Machine) -> None:
        raise BackupFailed("The backup failed; earlier ones stay as they are.", "* it stopped answering")

    for name, does in {**spool_of(tmp_path / "spool", made), "make": not_sent}.items():
        monkeypatch.setattr(Machine, name, does)
    with pytest.raises(BackupFailed) as failed:
        work.now(settings, lambda said: None)
    assert failed.value.details == "* it stopped answering"
    assert [one.id for one in folder.backups()] == [FIRST]
    assert folder.missing(made) == []


@pytest.mark.parametrize(
    ("made_at", "here"),
    [("20261031T031500Z", FIRST), ("20261120T031500Z", FIRST), ("20261120T031500Z", "none")],
    ids=["clock behind", "clock ahead", "clock ahead, the first one"],
)
def test_a_backup_that_was_left_on_the_machine_is_not_said_to_be_here(
    made_at: str, here: str, settings: Config, folder: Folder, make: Make, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """The machine's clock is wrong; an upgrade would begin with the backup of another day."""
    made = make(made_at)
    shutil.move(folder.path, tmp_path / "spool")
    if here == FIRST:
        make(FIRST)
    for name, does in {**spool_of(tmp_path / "spool", made), "make": lambda self: None}.items():
        monkeypatch.setattr(Machine, name, does)
    with pytest.raises(HangarError) as left:
        work.now(settings, lambda said: None)
    assert left.value.brief == f"The backup {made_at} is made, and was left on hangar-local."
    assert left.value.details == f"* The newest one here: {here}"


@pytest.fixture
def beside_a_damaged_one(
    folder: Folder, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Backup:
    """A machine that has just made a backup, and an earlier one of which is damaged there."""
    damaged, made = make(FIRST), make("20261102T031500Z")
    shutil.move(folder.path, tmp_path / "spool")
    place = tmp_path / "spool" / damaged.parts[0].object
    place.write_bytes(b"x" * place.stat().st_size)
    for name, does in {**spool_of(tmp_path / "spool", made, damaged), "make": lambda self: None}.items():
        monkeypatch.setattr(Machine, name, does)
    return made


DAMAGED = f"warning: files-{FIRST}.age has not come as it was made. * Expected SHA-256: "


def test_what_is_damaged_there_stops_no_backup_beside_it(
    beside_a_damaged_one: Backup, settings: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nor the upgrade that begins with it."""
    assert work.now(settings, lambda said: None) == (beside_a_damaged_one, [])
    assert capsys.readouterr().err.startswith(DAMAGED)


def test_what_is_damaged_there_stops_no_restore_of_another(
    beside_a_damaged_one: Backup, settings: Config, capsys: pytest.CaptureFixture[str]
) -> None:
    work.fetch(settings, lambda said: None)
    assert work.require(settings, "latest", lambda _: None) == beside_a_damaged_one
    assert capsys.readouterr().err.startswith(DAMAGED)


def test_a_backup_that_failed_says_why_whatever_else_is_damaged(
    beside_a_damaged_one: Backup, settings: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(self: Machine) -> None:
        raise BackupFailed("The backup failed; earlier ones stay as they are.", "* the disk is nearly full")

    monkeypatch.setattr(Machine, "make", fails)
    with pytest.raises(BackupFailed, match="earlier ones stay"):
        work.now(settings, lambda said: None)


def test_the_backup_that_was_just_made_is_told(
    settings: Config, folder: Folder, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = make(FIRST)
    shutil.move(folder.path, tmp_path / "spool")
    for name, does in {**spool_of(tmp_path / "spool", made), "make": lambda self: None}.items():
        monkeypatch.setattr(Machine, name, does)
    assert work.now(settings, lambda said: None) == (made, [])


@pytest.mark.parametrize(
    ("engine", "part", "said"),
    [
        ("abctl", "abctl", ""),
        ("embedded", "airbyte", ""),
        ("abctl", "airbyte", "of Airbyte's platform: Airbyte's are of the embedded engine."),
        ("embedded", "abctl", "of the embedded engine: Airbyte's are of Airbyte's platform."),
        ("abctl", "", "of Airbyte's platform: Airbyte's are not in it."),
    ],
)
def test_what_a_restore_does_not_bring_back_is_said_before_anything_is_touched(
    engine: str, part: str, said: str, make: Make, sign: Sign, make_config: Callable[..., Config],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = make(FIRST)
    index = made.parts + (
        (Sealed(part, f"files-{FIRST}.age", made.bytes, made.parts[0].sha256, FIRST),) if part else ()
    )
    config = make_config(f"airbyte.engine={engine}", f"airbyte.abctl.sha256={'a' * 64}")
    Folder.of(config).write_index(sign(replace(made, parts=index)))
    assert work.require(config, "latest", lambda _: None).id == FIRST
    assert capsys.readouterr().err == (said and (
        f"warning: The backup {FIRST} does not bring back the connections and jobs {said} "
        "Make them anew: ./provision.py pipelines apply local\n"
    ))  # fmt: skip


def test_a_machine_without_airbyte_lacks_nothing(make: Make, make_config: Callable[..., Config]) -> None:
    assert work.left_out(make_config("airbyte.enabled=false"), make(FIRST)) == ""


@pytest.fixture
def machine_that_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a machine keeps what it was given: `received`, the plain part, and `restored`, once it is to use it."""
    place = tmp_path / "machine"
    place.mkdir()
    (place / "ssh").write_text(
        "#!/bin/sh\n"
        f'case "$*" in *"backup receive"*) cat > {place}/received;; *"backup restore"*) cat > {place}/restored;; esac\n'
    )
    (place / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(place), prepend=":")
    return place


def test_what_was_looked_at_is_what_is_put_back(
    settings: Config, make: Make, machine_that_takes: Path
) -> None:
    make(FIRST, content="the Fernet key")
    backup = work.require(settings, "latest", lambda said: None)
    work.put_back(settings, backup, lambda said: None)
    assert (machine_that_takes / "received").read_text() == "the Fernet key"
    assert FIRST in (machine_that_takes / "restored").read_text()


def test_an_object_that_is_changed_after_it_was_looked_at_is_not_put_back(
    settings: Config, folder: Folder, make: Make, machine_that_takes: Path
) -> None:
    """Others may write where the folder lies (backup.folder on a share), and anybody encrypts to a public key. What
    is in a backup becomes root's files on the machine.
    """
    made = make(FIRST, content="the Fernet key")
    backup = work.require(settings, "latest", lambda said: None)
    place, public = folder.path / made.parts[0].object, paths.backup_key("local").with_name("backup-key.pub")
    place.unlink()
    process.run(["age", "-R", str(public), "-o", str(place)], input="a key of theirs")
    with pytest.raises(HangarError) as refused:
        work.put_back(settings, backup, lambda said: None)
    assert f"* Somebody has changed it meanwhile: {place}" in refused.value.details
    assert not (machine_that_takes / "restored").exists()
