"""Somebody comes, or gets another day: platform.yml first, then the machine, then the proof."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from hangar import paths, pipeline
from hangar.cloud import admission, cloud_for
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.config.load import parse
from hangar.config.people import Person, today
from hangar.config.public_keys import BadKey
from hangar.config.public_keys import parse as parse_key
from hangar.config.public_keys import text_of as text_of_key
from hangar.config.reading import decoded
from hangar.console import Progress
from hangar.errors import ConfigError, HangarError
from hangar.people import edit, machine
from hangar.ssh.files import write_atomically

NAME = re.compile(r"[\w .,~/\\:+@-]{1,200}\.pub")
"""What can be a .pub file's name, and no piece of a private key's text: that has no such end."""


@dataclass(frozen=True)
class Outcome:
    """What became of it. Without a machine only the file is changed, and the next `up` does the rest."""

    person: Person
    has_machine: bool


def read_key(given: str) -> str:
    """A public key from the command line: the file that holds it, or its text.

    Raises:
        HangarError: it is none, or there is no such file. Nothing of a key is repeated.
    """
    path = _file(given)
    text = text_of_key(path.read_bytes()) if path else given
    try:
        return str(parse_key(text))
    except BadKey as error:
        if path is None and NAME.fullmatch(given):
            raise HangarError(
                f"There is no file {given}.",
                resolution="Say --key with the path of a .pub file, or with the text of a public key.",
            ) from None
        where = str(path) if path else "The given key"
        public = path.with_name(path.name + ".pub") if path else None
        cure = (
            f"Say --key {shlex.quote(str(public))}"
            if public and public.is_file()
            else "Say --key with the path of a .pub file."
        )
        stored = "Nothing of it was stored." if path else "It is no file here. Nothing of it was stored."
        raise HangarError(f"{where} opens nothing: {error}.", stored, cure) from None


def _file(given: str) -> Path | None:
    """The file of that name. What cannot be a name (a key's whole text is too long) is none, and is repeated in no
    error of the system's.
    """
    try:
        path = Path(given).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):
        return None


def person_of(config: Config, name: str) -> Person | None:
    return next((person for person in config.people if person.name == name), None)


def require(config: Config, name: str) -> Person:
    """The person of that name.

    Raises:
        HangarError: there is none.
    """
    person = person_of(config, name)
    if person is None:
        raise missing(config, name)
    return person


def rewrite(config: Config, before: str, after: str) -> Config:
    """Writes platform.yml if it is right as a whole; returns the new settings.

    Raises:
        ConfigError: with every problem; the file is as it was.
    """
    path = paths.platform_file(config.environment).resolve()
    try:
        changed = parse(config.environment, after)
    except ConfigError as error:
        if after == before:
            raise
        # The file is right; what the command line said of somebody is not.
        would_be = f"{paths.shown(paths.platform_file(config.environment))}, as this would make it,"
        raise ConfigError(would_be, error.problems, "Say the same again with what would be right.") from None
    if after != before:
        write_atomically(path, after, path.stat().st_mode & 0o777)
    return changed


def text_of(environment: str) -> str:
    """platform.yml with the line ends that it has.

    Raises:
        ConfigError: it is not UTF-8, and to write it again would change what is not.
    """
    path = paths.platform_file(environment)
    text, problems = decoded(path.read_bytes())
    if problems:
        raise ConfigError(paths.shown(path), problems)
    return text


def reread(config: Config) -> tuple[Config, str]:
    """The settings as platform.yml has them now, and its text: while a question waited for its answer, another call
    may have changed it.

    Raises:
        ConfigError: it is wrong meanwhile.
    """
    text = text_of(config.environment)
    return parse(config.environment, text), text


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


def require_removable(config: Config, name: str) -> None:
    """Returns unless the machine would be left without an admin.

    Raises:
        HangarError: this is the last one.
    """
    admins = [person.name for person in config.people if person.role == "admin" and not person.is_expired]
    if admins == [name]:
        raise HangarError(
            f"{name} is the last admin, and stays.",
            resolution=f"Let another one in first: ./provision.py people add NAME {config.environment} "
            "--role admin --key FILE",
        )


def require_future(day: date) -> None:
    """Returns for a day that is still to come.

    Raises:
        HangarError: it is not.
    """
    if day <= today():
        raise HangarError(
            f"{day} is not in the future: the day is the first one without access.",
            resolution="Say --expires with a later day, such as 2027-03-31.",
        )


def missing(config: Config, name: str) -> HangarError:
    known = ", ".join(person.name for person in config.people) or "nobody"
    return HangarError(
        f"There is no {name} in {paths.shown(paths.platform_file(config.environment))}.", f"* There: {known}",
        f"See: ./provision.py people list {config.environment}",
    )  # fmt: skip


def _is_same(person: Person, entry: dict[str, Any]) -> bool:
    mine = {"role": person.role, "expires": person.expires, "email": person.email, "airflow": person.airflow}
    asked = {key: entry.get(key) for key in mine}
    blobs = [{parse_key(key).blob for key in keys} for keys in (person.keys, entry["keys"])]
    return mine == asked and blobs[0] == blobs[1]
