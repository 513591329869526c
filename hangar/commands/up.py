"""up: make the machine, configure it, prove it."""

import argparse

from hangar import config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    settings = config.load(args.environment, args.overrides)
    from hangar import pipeline
    from hangar.commands import _finish

    return _finish.finish(pipeline.up(settings), as_json=args.json)
