"""People whose day is long past: shut out all the same, and their rows in platform.yml are for nothing."""

from datetime import timedelta

from hangar import console
from hangar.config import Config
from hangar.config.people import today

PATIENCE = timedelta(days=90)
"""So long after somebody's day, their row is more likely to be forgotten than wanted."""


def told(config: Config) -> list[tuple[str, str]]:
    """For each of them, what is so and what to type."""
    env = config.environment
    return [
        (
            f"the day of {person.name} is long past ({person.expires}): the machine lets them in no more, and the "
            "row is still in platform.yml",
            f"./provision.py people remove {person.name} {env} (or expire {person.name} {env} --expires DATE)",
        )
        for person in config.people
        if person.expires is not None and person.expires < today() - PATIENCE
    ]


def warn(config: Config) -> None:
    """Tells it, and stops nothing: a row that nobody took out must not keep a team from its machine."""
    for what, cure in told(config):
        console.warn(f"{what}. Say: {cure}")
