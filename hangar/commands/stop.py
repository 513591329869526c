"""stop: shut a machine in the cloud down; its disks stay."""

import argparse

from hangar import console
from hangar.commands import _flags, _lifecycle
from hangar.ssh import tunnel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _flags.break_lock(parser)


def run(args: argparse.Namespace) -> int:
    config = _lifecycle.settings(args)
    with _lifecycle.at_work(config, args, "stop", "Stop") as (machine, report):
        tunnel.stop(args.environment)
        ran = machine.stop(report)
    console.say(
        f"{config.server_name} is off. Its disks cost what they did; start it: ./provision.py start {args.environment}"
        if ran
        else f"{config.server_name} was off already."
    )
    if args.json:
        console.json({"stopped": ran})
    return 0
