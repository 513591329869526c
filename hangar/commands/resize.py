"""resize: bring a machine in the cloud and its disks to the size that platform.yml says."""

import argparse

from hangar import console
from hangar.commands import _flags, _lifecycle
from hangar.commands.plan import as_data


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _flags.break_lock(parser)


def run(args: argparse.Namespace) -> int:
    from hangar import pipeline
    from hangar.cloud.lifecycle import lifecycle_for

    config = _lifecycle.settings(args)
    lifecycle_for(config)
    plan = pipeline.resize(config, break_lock=args.break_lock)
    console.say(f"{config.server_name} is as wanted." if plan.has_changes else "Nothing to do.")
    if args.overrides and plan.has_changes:
        console.say("Write it into platform.yml too, or the next `up` takes it back where it can.", "yellow")
    if args.json:
        console.json(as_data(plan, None))
    return 0
