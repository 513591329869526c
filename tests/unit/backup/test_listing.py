"""Where each backup lies: what is here, on the machine, and with whoever takes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from hangar.backup import listing
from hangar.backup.folder import Folder
from hangar.backup.records import Backup
from hangar.config import Config
from tests.unit.backup.conftest import Make, Sign

FIRST, SECOND, THIRD = "20261101T031500Z", "20261102T031500Z", "20261103T031500Z"


@dataclass
class Vault:
    """A target that has these backups; it notes which indexes were asked of it."""

    held: Sequence[Backup]
    asked: tuple[str, ...] = ()
    name: str = "vault"

    def sizes(self) -> dict[str, int]:
        return {f"{one.id}.json": 1 for one in self.held} | {"files-20261101T031500Z.age": 9}

    def indexes(self, names: Iterable[str]) -> list[Backup]:
        self.asked = tuple(names)
        return [one for one in self.held if f"{one.id}.json" in self.asked]

    def get(self, names: Sequence[str], folder: Path, as_fresh: bool = False, most: int = 0) -> None:
        raise AssertionError("a list brings nothing here")


def test_the_newest_first_and_what_is_here_is_told_as_here(folder: Folder, make: Make) -> None:
    first, second = make(FIRST), make(SECOND)
    (folder.path / second.parts[0].object).unlink()
    third = replace(first, id=THIRD)
    found = listing.places(folder, [third, first], None)
    assert [(place.backup.id, place.where) for place in found] == [
        (THIRD, "on the machine only"), (SECOND, "damaged"), (FIRST, "here"),
    ]  # fmt: skip


def test_what_lies_elsewhere_is_told_and_no_index_is_brought_twice(
    folder: Folder, make: Make, sign: Sign
) -> None:
    first = make(FIRST)
    second, third = sign(replace(first, id=SECOND)), sign(replace(first, id=THIRD))
    vault = Vault([first, second, third])
    found = listing.places(folder, [third], vault)
    assert [(place.backup.id, place.where) for place in found] == [
        (THIRD, "on the machine, at vault"), (SECOND, "at vault only"), (FIRST, "here"),
    ]  # fmt: skip
    assert vault.asked == (f"{SECOND}.json",)


DAY_AFTER = datetime(2026, 11, 2, 15, 15, tzinfo=UTC)
WEEK_AFTER = datetime(2026, 11, 8, 3, 15, tzinfo=UTC)


def test_backups_that_nobody_fetched_are_told_of(make: Make, settings: Config, folder: Folder) -> None:
    """A machine that is lost takes them along; its own alerts see a good backup every night."""
    fetch = "Fetch one: ./provision.py backup now local; or name who takes each by itself: backup.sftp, backup.gcs"
    alone = "the newest backups are on the machine alone"
    assert listing.unfetched(settings, DAY_AFTER) == f"{alone}, none is here. {fetch}"
    kept = make(FIRST)
    assert listing.unfetched(settings, DAY_AFTER) == ""
    assert listing.unfetched(settings, WEEK_AFTER) == f"{alone}, the last one here is 7 d old. {fetch}"
    make("20300101T031500Z")  # once, the clock was wrong; it is no younger than the last one of our days
    assert listing.unfetched(settings, DAY_AFTER) == ""
    assert listing.unfetched(settings, WEEK_AFTER) == f"{alone}, the last one here is 7 d old. {fetch}"
    (folder.path / kept.parts[0].object).unlink()
    assert listing.unfetched(settings, DAY_AFTER) == f"{alone}, none is here. {fetch}"


@pytest.mark.parametrize(
    "given",
    [
        ["backup.enabled=false"],
        ["backup.sftp={host: vault.example.org, host_key: [ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKX]}"],
    ],
)
def test_where_another_host_takes_them_nobody_has_to_fetch(
    given: list[str], make_config: Callable[..., Config]
) -> None:
    assert listing.unfetched(make_config(*given), WEEK_AFTER) == ""
