"""Somebody comes, or gets another day: platform.yml first, then the machine, then the proof."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from hangar import paths, pipeline
from hangar.cloud import admission, cloud_for
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.config.people import Person, today
from hangar.config.public_keys import parse as parse_key
from hangar.console import Progress
from hangar.errors import HangarError
from hangar.people import edit, machine
from hangar.people.settings import person_of, require, require_future, require_removable, reread, rewrite


@dataclass(frozen=True)
class Outcome:
    """What became of it. Without a machine only the file is changed, and the next `up` does the rest."""

    person: Person
    has_machine: bool


def add(config: Config, entry: dict[str, Any], progress: Progress) -> Outcome:
    """Somebody comes. The same again finishes what was interrupted.

    Raises:
        HangarError: there is somebody of that name who is not the same, or the day is past.
        ConfigError: the new settings would be wrong.
    """
    name, (config, before) = entry["name"], reread(config)
    there = person_of(config, name)
    if entry.get("expires") is not None:
        require_future(entry["expires"])
    if there is not None and not _is_same(there, entry):
        raise HangarError(
            f"There is a {name} already, and not with these keys, this role and this day.",
            f"* platform.yml says: {there.role}, {len(there.keys)} key(s), expires {there.expires or 'never'}",
            f"Another key: ./provision.py people key {name} {config.environment} --key FILE\n"
            f"Another day: ./provision.py people expire {name} {config.environment} --expires DATE\n"
            f"Anything else: change it in {paths.shown(paths.platform_file(config.environment))}, then run "
            f"./provision.py up {config.environment}",
        )
    with progress.stage("platform.yml"):
        after = before if there else edit.add(before, entry)
        config = rewrite(config, before, after)
    person = person_of(config, name)
    assert person is not None
    return Outcome(person, enact(config, person, progress))


def set_expiry(config: Config, name: str, day: date | None, progress: Progress) -> Outcome:
    """Somebody gets another day; today means now.

    Raises:
        HangarError: nobody has that name, the day is past, or it is the last admin's.
    """
    config, before = reread(config)
    require(config, name)
    if day is not None:
        require_removable(config, name)
    if day is not None and day != today():
        require_future(day)
    with progress.stage("platform.yml"):
        after = edit.set_expiry(before, name, day)
        config = rewrite(config, before, after)
    person = person_of(config, name)
    assert person is not None
    return Outcome(person, enact(config, person, progress))


def enact(config: Config, person: Person, progress: Progress, *, lost: Sequence[str] = ()) -> bool:
    """The machine and the cloud's gate before it do what the settings say of this person, and a login attempt shows
    it; `lost` are keys that they have no more. False: there is no machine.
    """
    server = cloud_for(config).server()
    if server is None:
        # Another day may have come. What cannot be written anew would not know it.
        paths.hosts_file(config.environment).unlink(missing_ok=True)
        admission.shut(config, progress)
        return False
    if not person.is_expired:
        admission.admit(config, progress)
        _tell_machine(config, person, server, progress, lost)
        return True
    try:
        _tell_machine(config, person, server, progress, lost)
    finally:
        # After the machine was told: whoever ends their own access comes through the same gate.
        admission.shut(config, progress)
    return True


def _tell_machine(
    config: Config, person: Person, server: Server, progress: Progress, lost: Sequence[str]
) -> None:
    with progress.stage("Machine"):
        pipeline.introduce(server, config)
        machine.apply(config, operators=person.role == "admin", progress=lambda event: progress.step(*event))
    with progress.stage("Login attempt"):
        if person.is_expired:
            machine.prove_out(config.environment, person, server.admin)
        else:
            machine.prove_in(config.environment, person)
        if lost:
            taken = person.model_copy(update={"keys": tuple(lost)})
            machine.prove_out(config.environment, taken, server.admin)


def _is_same(person: Person, entry: dict[str, Any]) -> bool:
    mine = {"role": person.role, "expires": person.expires, "email": person.email, "airflow": person.airflow}
    asked = {key: entry.get(key) for key in mine}
    blobs = [{parse_key(key).blob for key in keys} for keys in (person.keys, entry["keys"])]
    return mine == asked and blobs[0] == blobs[1]
