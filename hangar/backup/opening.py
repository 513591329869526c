"""Backups are opened here and nowhere else: `age` decrypts with a key that the machine has never had."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hangar import process
from hangar.backup import keys
from hangar.backup.folder import Folder
from hangar.backup.records import Backup, Sealed
from hangar.config import Config
from hangar.errors import CommandFailed, HangarError, MissingTool
from hangar.process import pipe

WRONG_KEY = "no identity matched"
"""What age says when the key is another's."""


@dataclass(frozen=True)
class Trial:
    """One object, looked at: `problem` is empty where it is sound."""

    object: str
    problem: str = ""


def command(key: Path) -> list[str]:
    """The program that prints what the object holds that it is given."""
    return ["age", "--decrypt", "--identity", str(key)]


def given(folder: Folder, part: Sealed) -> pipe.Given:
    """The object, for that program: as its index says that it was made, or the program has read it in vain."""
    return pipe.Given(folder.path / part.object, part.sha256)


def require_age() -> None:
    """Returns where `age` is installed.

    Raises:
        MissingTool: it is not.
    """
    try:
        process.run(["age", "--version"])
    except MissingTool as error:
        raise MissingTool(
            "age is not installed here; it opens the backups.", error.details,
            "Install it: sudo apt install age, or brew install age",
        ) from None  # fmt: skip


def require_opens(config: Config, folder: Folder, backup: Backup) -> Path:
    """The key, once every part is what was made and it has opened the smallest: nothing is touched for a backup that
    cannot be read.

    Raises:
        HangarError: a part has changed, the key does not open it, or there is none.
        MissingTool: `age` is not installed.
    """
    require_age()
    key = keys.require(config)
    smallest = min(backup.parts, key=lambda part: part.bytes)
    looked = (Trial(part.object, _change(folder, part)) for part in backup.parts)
    trial = next((one for one in looked if one.problem), None) or try_object(folder, smallest, key)
    if trial.problem:
        raise HangarError(
            f"The backup {backup.id} cannot be read.", f"* {trial.object}: {trial.problem}", cure(trial)
        )
    return key


def cure(trial: Trial) -> str:
    """What to do about a trial that failed."""
    if "another key" in trial.problem:
        return "Name the key that opens it in platform.yml: backup.key"
    return "Take another: ./provision.py backup list names them"


def try_all(folder: Folder, backups: Iterable[Backup], key: Path) -> list[Trial]:
    """Every object of the backups once, decrypted to its end."""
    known: dict[str, Sealed] = {part.object: part for backup in backups for part in backup.parts}
    return [try_object(folder, part, key) for part in known.values()]


def try_object(folder: Folder, part: Sealed, key: Path) -> Trial:
    """What is encrypted is what was written, to the last byte, or age says no."""
    if changed := _change(folder, part):
        return Trial(part.object, changed)
    try:
        pipe.carry(command(key), None, given=given(folder, part))
    except CommandFailed as error:
        wrong = WRONG_KEY in error.output or "incorrect" in error.output
        said = error.output.strip().splitlines()[-1:] or ["age gives no reason"]
        return Trial(part.object, f"it was encrypted to another key than {key.name}" if wrong else said[0])
    return Trial(part.object)


def _change(folder: Folder, part: Sealed) -> str:
    """Why the object is not what the machine made; empty where it is."""
    place = folder.path / part.object
    if not place.is_file():
        return "it is missing"
    with place.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return "" if found == part.sha256 else "it has changed since it was made"
