"""tunnel: forward the machine's services to this computer; the forwards stay, also after the network was gone."""

import argparse
from dataclasses import asdict

from hangar import console
from hangar.commands._editor import load_for, where
from hangar.environments import require_name
from hangar.ssh import login, tunnel


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
    machine = load_for(args, login.recorded(args.environment))
    forwards = tunnel.ensure(machine.server, machine.services)
    for forward in forwards:
        console.say(where(forward))
    console.say("They stay open, and open again after the network was gone. Close them: --stop")
    if args.json:
        console.json([{**asdict(forward), "url": forward.url, "page": forward.page} for forward in forwards])
    return 0
