"""tunnel: forward the machine's services to this computer, in the background."""

import argparse
from dataclasses import asdict

from hangar import console
from hangar.commands._machine import load_machine
from hangar.environments import require_name
from hangar.machine import PAGES
from hangar.ssh import tunnel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--stop", action="store_true", help="close the forwards")


def run(args: argparse.Namespace) -> int:
    require_name(args.environment)
    if args.stop:
        stopped = tunnel.stop(args.environment)
        console.say("The forwards are closed." if stopped else "No forwards were open.")
        if args.json:
            console.json({"stopped": stopped})
        return 0
    machine = load_machine(args)
    forwards = tunnel.ensure(machine.server, machine.services)
    for forward in forwards:
        console.say(describe(forward))
    if args.json:
        console.json([{**asdict(forward), "url": forward.url} for forward in forwards])
    return 0


def describe(forward: tunnel.Forward) -> str:
    moved = f"  (port {forward.remote} is taken here)" if forward.moved else ""
    return f"{forward.name}: {forward.url}{PAGES.get(forward.name, '')}{moved}"
