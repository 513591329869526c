"""Backups are opened with the right key, and a wrong one, a damaged object or a missing program are told apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from hangar import config, paths
from hangar.backup import keys, opening
from hangar.backup.folder import Folder
from hangar.errors import HangarError, MissingTool
from hangar.process import pipe

from .conftest import Make

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"


def test_the_key_that_hangar_makes_opens_what_was_sealed_for_it(
    settings: config.Config, folder: Folder, make: Make, tmp_path: Path
) -> None:
    found = make(FIRST, content="the Fernet key")
    key = opening.require_opens(settings, folder, found)
    given = opening.given(folder, found.parts[0])
    carried = pipe.carry(opening.command(key), tmp_path / "plain", given=given)
    assert (tmp_path / "plain").read_text() == "the Fernet key"
    assert carried.bytes == len("the Fernet key")


def test_a_key_is_made_once_and_is_the_owners_alone(settings: config.Config) -> None:
    before = paths.backup_key("local").read_bytes()
    keys.ensure(settings)
    assert paths.backup_key("local").read_bytes() == before
    assert paths.backup_key("local").stat().st_mode & 0o777 == 0o600
    assert keys.offered(settings)[0].startswith("ssh-ed25519 ")


def test_keys_that_somebody_names_take_the_place_of_a_made_one(make_config: object) -> None:
    public = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
    found = make_config(f"backup.recipients=[{public}]")  # type: ignore[operator]
    keys.ensure(found)
    assert keys.offered(found) == []
    assert not paths.backup_key("local").exists()
    with pytest.raises(HangarError) as refused:
        keys.require(found)
    assert refused.value.brief == "There is no key here that reads the backups."


def test_a_wrong_key_is_called_so(
    settings: config.Config, folder: Folder, make: Make, other_key: Path
) -> None:
    found = make(FIRST)
    other_key.replace(paths.backup_key("local"))
    with pytest.raises(HangarError) as refused:
        opening.require_opens(settings, folder, found)
    assert refused.value == HangarError(
        f"The backup {FIRST} cannot be read.",
        f"* files-{FIRST}.age: it was encrypted to another key than backup-key",
        "Name the key that opens it in platform.yml: backup.key",
    )


def test_damage_in_any_part_is_found_before_anything_is_touched(
    settings: config.Config, folder: Folder, make: Make
) -> None:
    """The key opens the smallest part; a larger one is looked at too, before a machine is made for it."""
    large = make(FIRST, content="a dump of the warehouse " * 99).parts[0]
    found = make(SECOND, large)
    place = folder.path / large.object
    raw = bytearray(place.read_bytes())
    raw[-1] ^= 1
    place.write_bytes(raw)
    with pytest.raises(HangarError) as refused:
        opening.require_opens(settings, folder, found)
    assert refused.value == HangarError(
        f"The backup {SECOND} cannot be read.",
        f"* files-{FIRST}.age: it has changed since it was made",
        "Take another: ./provision.py backup list names them",
    )


def test_damage_is_found_and_the_rest_is_sound(settings: config.Config, folder: Folder, make: Make) -> None:
    bad, good = make(FIRST), make(SECOND)
    place = folder.path / bad.parts[0].object
    raw = bytearray(place.read_bytes())
    raw[-1] ^= 1
    place.write_bytes(raw)
    trials = opening.try_all(folder, [good, bad], keys.require(settings))
    assert {one.object: one.problem for one in trials} == {
        f"files-{FIRST}.age": "it has changed since it was made", f"files-{SECOND}.age": "",
    }  # fmt: skip


def test_without_age_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(MissingTool) as missing:
        opening.require_age()
    assert missing.value.brief == "age is not installed here; it opens the backups."
    assert missing.value.resolution == "Install it: sudo apt install age, or brew install age"
