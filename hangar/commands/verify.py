"""verify: prove again that the machine keeps its promises."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    from hangar import config, pipeline
    from hangar.commands import _finish

    settings = config.load(args.environment, args.overrides)
    return _finish.finish(pipeline.verify(settings), as_json=args.json)
