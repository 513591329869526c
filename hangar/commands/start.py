"""start: start a machine in the cloud that was stopped."""

import argparse

from hangar import console
from hangar.commands import _flags, _lifecycle


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _flags.break_lock(parser)


def run(args: argparse.Namespace) -> int:
    config = _lifecycle.settings(args)
    with _lifecycle.at_work(config, args, "start", "Start") as (machine, report):
        was_off = machine.start(report)
    console.say(f"{config.server_name} {'is starting' if was_off else 'was running already'}.")
    console.say(f"See how it is: ./provision.py status {args.environment}")
    if args.json:
        console.json({"started": was_off})
    return 0
