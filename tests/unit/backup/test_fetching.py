"""Backups come from the machine's spool: each object once, and nothing is listed that has not come as it was made."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from hangar import config
from hangar.backup import fetching
from hangar.backup.folder import Folder
from hangar.backup.machine import Spool
from hangar.backup.records import Backup
from hangar.errors import HangarError, MachineUnreachable

from .conftest import Make, Sign

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"


@dataclass
class FakeMachine:
    """A spool in a folder; `fail_at` names an object at which the connection breaks."""

    spool: Path
    backups: tuple[Backup, ...]
    fail_at: str = ""
    asked: list[str] = field(default_factory=list)

    def show(self) -> Spool:
        return Spool(self.backups, (), 0.0, "", "", "")

    def get(self, name: str, place: Path, most: int) -> None:
        self.asked.append(name)
        place.write_bytes((self.spool / name).read_bytes()[: 9 if name == self.fail_at else None])
        if name == self.fail_at:
            raise MachineUnreachable("gone")


@pytest.fixture
def there(folder: Folder, make: Make, tmp_path: Path) -> FakeMachine:
    """Two backups on the machine, the second of which shares the first one's object; none here."""
    first = make(FIRST)
    second = make(SECOND, *first.parts)
    shutil.move(folder.path, tmp_path / "spool")
    return FakeMachine(tmp_path / "spool", (second, first))


def fetch(there: FakeMachine, folder: Folder, settings: config.Config) -> list[str]:
    return fetching.from_machine(there, folder, settings, lambda said: None)  # type: ignore[arg-type]


def test_each_object_comes_once_and_a_second_fetch_brings_nothing(
    there: FakeMachine, folder: Folder, settings: config.Config
) -> None:
    assert fetch(there, folder, settings) == [FIRST, SECOND]
    assert there.asked == [f"files-{FIRST}.age", f"files-{SECOND}.age"]
    assert [folder.missing(one) for one in folder.backups()] == [[], []]
    assert fetch(there, folder, settings) == []


def test_a_fetch_that_breaks_off_lists_nothing_and_the_next_goes_on(
    there: FakeMachine, folder: Folder, settings: config.Config
) -> None:
    there.fail_at = f"files-{SECOND}.age"
    with pytest.raises(HangarError):
        fetch(there, folder, settings)
    assert [one.id for one in folder.backups()] == [FIRST]
    there.fail_at, there.asked[:] = "", []
    assert fetch(there, folder, settings) == [SECOND]
    assert there.asked == [f"files-{SECOND}.age"], "what came whole is not asked for again"


def test_an_object_that_was_changed_on_the_machine_is_refused(
    there: FakeMachine, folder: Folder, settings: config.Config
) -> None:
    place = there.spool / f"files-{SECOND}.age"
    place.write_bytes(b"x" * place.stat().st_size)
    with pytest.raises(HangarError) as refused:
        fetch(there, folder, settings)
    assert refused.value.brief == f"files-{SECOND}.age has not come as it was made."
    assert [one.id for one in folder.backups()] == [FIRST]


def test_one_that_is_damaged_there_keeps_no_later_one_from_coming(
    there: FakeMachine, folder: Folder, settings: config.Config, make: Make
) -> None:
    """It stays in the spool for days: without the others, the machine's backups would be on it alone for as long."""
    third = make("20261103T031500Z")
    for path in (folder.path / f"{third.id}.json", folder.path / f"files-{third.id}.age"):
        shutil.move(path, there.spool / path.name)
    there.backups = (third, *there.backups)
    place = there.spool / f"files-{FIRST}.age"  # the second one refers to it too
    place.write_bytes(b"x" * place.stat().st_size)
    with pytest.raises(HangarError) as refused:
        fetch(there, folder, settings)
    assert refused.value.brief == f"files-{FIRST}.age has not come as it was made."
    assert [one.id for one in folder.backups()] == [third.id]
    assert folder.missing(third) == []


def test_one_that_cannot_be_read_there_keeps_no_later_one_from_coming(
    there: FakeMachine, folder: Folder, settings: config.Config
) -> None:
    there.backups = (replace(there.backups[0], parts=there.backups[0].parts[:1]), there.backups[1])
    there.fail_at = f"files-{FIRST}.age"
    with pytest.raises(HangarError, match="gone"):
        fetch(there, folder, settings)
    assert [one.id for one in folder.backups()] == [SECOND]


def test_a_machine_that_is_gone_is_not_asked_for_the_others(
    there: FakeMachine, folder: Folder, settings: config.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, place: Path, most: int) -> None:
        there.asked.append(name)
        monkeypatch.setattr(there, "show", gone)
        raise MachineUnreachable("cut off")

    def gone() -> Spool:
        raise MachineUnreachable("it does not answer at all")

    monkeypatch.setattr(there, "get", broken)
    with pytest.raises(MachineUnreachable, match="it does not answer at all"):
        fetch(there, folder, settings)
    assert there.asked == [f"files-{FIRST}.age"]


def test_what_retention_would_remove_is_not_fetched(
    there: FakeMachine, folder: Folder, settings: config.Config
) -> None:
    few = settings.backup.keep.model_copy(update={"daily": 1, "weekly": 0, "monthly": 0})
    settings = settings.model_copy(update={"backup": settings.backup.model_copy(update={"keep": few})})
    assert fetch(there, folder, settings) == [SECOND]


def test_a_backup_whose_name_another_machines_has_replaces_nothing(
    there: FakeMachine, folder: Folder, settings: config.Config, make: Make
) -> None:
    """Two machines that begin in the same second, and one folder for both."""
    theirs = make(SECOND, content="theirs", machine="hangar-sandbox")
    with pytest.raises(HangarError) as refused:
        fetch(there, folder, settings)
    assert refused.value == HangarError(
        f"{SECOND} was not fetched: a backup of hangar-sandbox has its name.", "* In: .hangar/local/backups",
        "Give each machine a folder of its own in platform.yml: backup.folder",
    )  # fmt: skip
    assert [one.id for one in folder.backups()] == [FIRST], "what can come has come"
    assert folder.find(SECOND) == theirs
    assert folder.missing(theirs) == []


def test_a_machine_that_was_taken_pushes_nothing_out_of_retention(
    there: FakeMachine,
    folder: Folder,
    settings: config.Config,
    sign: Sign,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its new owner signs what they like: one at the end of each day that was, and of days to come."""
    fetch(there, folder, settings)
    second, first = there.backups
    forged = [
        sign(replace(first, id=f"{day}T235959Z")) for day in ("20261031", "20261101", "20261106", "99991231")
    ]
    there.backups = (*forged, second, first)
    assert fetch(there, folder, settings) == []
    assert [one.id for one in folder.backups()] == [SECOND, FIRST]
    ahead = "20261106T235959Z, 99991231T235959Z"
    assert (
        capsys.readouterr().err
        == f"warning: Left on hangar-local: {ahead}, of days to come. See its clock.\n"
    )


def test_what_was_lost_here_comes_again(there: FakeMachine, folder: Folder, settings: config.Config) -> None:
    fetch(there, folder, settings)
    (folder.path / f"files-{FIRST}.age").unlink()
    assert fetch(there, folder, settings) == [FIRST, SECOND]
    assert [folder.missing(one) for one in folder.backups()] == [[], []]


def test_what_was_lost_here_comes_again_though_a_newer_one_is_whole(
    there: FakeMachine, folder: Folder, settings: config.Config, sign: Sign, make: Make
) -> None:
    """The same one as was here; another of its name, which a machine that was taken would offer, does not."""
    fetch(there, folder, settings)
    newest = make("20261103T031500Z")
    shutil.copy(folder.path / f"files-{newest.id}.age", there.spool)
    second, first = there.backups
    (folder.path / f"files-{SECOND}.age").unlink()
    there.backups = (newest, sign(replace(second, seconds=2.0)), first)
    assert fetch(there, folder, settings) == []
    assert folder.missing(second) == [f"files-{SECOND}.age"]
    there.backups = (newest, second, first)
    assert fetch(there, folder, settings) == [SECOND]
    assert folder.missing(second) == []


def test_a_machine_brings_nothing_in_anothers_name(
    there: FakeMachine, folder: Folder, settings: config.Config, sign: Sign
) -> None:
    """One that was taken would push the other's backups out of retention, in a folder for both."""
    second, first = there.backups
    there.backups = (sign(replace(second, machine="hangar-sandbox")), first)
    assert fetch(there, folder, settings) == [FIRST]
    assert there.asked == [f"files-{FIRST}.age"]
    assert folder.find(SECOND) is None
