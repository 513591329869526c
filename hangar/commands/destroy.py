"""destroy: remove the machine and everything that belongs to it."""

import argparse

from hangar import console
from hangar.errors import HangarError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    from hangar import config, pipeline

    settings = config.load(args.environment, args.overrides)
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
