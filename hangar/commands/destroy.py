"""destroy: remove the machine and everything that belongs to it."""

import argparse
from typing import TYPE_CHECKING

from hangar import console
from hangar.environments import require_name
from hangar.errors import ConfigError, HangarError

if TYPE_CHECKING:
    from hangar.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    from hangar import pipeline

    settings = _settings(args)
    name = settings.server_name
    if not console.confirm(
        f"Remove {name} with all its data (DAGs, databases, secrets)? This cannot be undone."
    ):
        raise HangarError(f"{name} was left as it is.")
    removed = pipeline.destroy(settings)
    for what in removed:
        console.say(f"  removed {what}")
    console.say(f"Nothing of {name} is left." if removed else f"There was nothing of {name}.")
    if args.json:
        console.json({"removed": removed})
    return 0


def _settings(args: argparse.Namespace) -> "Config":
    """Those of platform.yml; where it cannot be used, the defaults: what is removed is found by its name alone."""
    from hangar import config

    try:
        return config.load(args.environment, args.overrides)
    except ConfigError as error:
        require_name(args.environment)
        console.warn(f"{error.brief.partition(';')[0]}; the machine is looked for by its name alone.")
        return config.Config(environment=args.environment)
