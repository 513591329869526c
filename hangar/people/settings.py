"""Platform.yml as far as people need it: who stands there, whether that may change, and writing it anew."""

from datetime import date

from hangar import paths
from hangar.config import Config
from hangar.config.load import parse
from hangar.config.people import Person, today
from hangar.errors import ConfigError, HangarError, Problem
from hangar.ssh.files import write_atomically


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
    raw = paths.platform_file(environment).read_bytes()
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise ConfigError(
            paths.shown(paths.platform_file(environment)),
            [
                Problem(
                    f"line {line}", "is not UTF-8; save the file as UTF-8 (your editor calls it an encoding)"
                )
            ],
        ) from None


def reread(config: Config) -> tuple[Config, str]:
    """The settings as platform.yml has them now, and its text: while a question waited for its answer, another call
    may have changed it.

    Raises:
        ConfigError: it is wrong meanwhile.
    """
    text = text_of(config.environment)
    return parse(config.environment, text), text


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
