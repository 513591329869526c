"""init: a commented platform.yml, ready to edit."""

import argparse

from hangar import console, paths
from hangar.environments import require_name
from hangar.errors import HangarError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    from hangar import example

    require_name(args.environment)
    path = paths.platform_file(args.environment)
    shown = paths.shown(path)
    if path.exists():
        raise HangarError(
            f"{shown} is there already.",
            resolution=f"Edit it, or remove it first to begin anew: rm {shown}",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(example.render(args.environment), encoding="utf-8")
    if args.json:
        console.json({"written": shown})
    console.say(f"Wrote {shown}: every setting with its default.")
    console.say(f"Next: ./provision.py plan {args.environment}")
    return 0
