"""up: make the machine, configure it, prove it."""

import argparse

from hangar.commands import _flags


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--allow-replace", action="store_true",
        help="a machine in the cloud may be thrown away and made anew where the plan says so (/srv stays)",
    )  # fmt: skip
    _flags.break_lock(parser)
    parser.add_argument(
        "--restore", metavar="latest|ID", default="",
        help="give the machine the data of a backup (see: backup list)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from hangar import config, pipeline
    from hangar.commands import _finish
    from hangar.people import forgotten

    settings = config.load(args.environment, args.overrides)
    forgotten.warn(settings)
    report = pipeline.up(
        settings, allow_replace=args.allow_replace, break_lock=args.break_lock, restore=args.restore
    )
    return _finish.finish(report, as_json=args.json)
