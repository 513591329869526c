"""ssh-config: let ssh and editors know the machine as hangar-<env>."""

import argparse

from hangar import console
from hangar.commands._machine import load_machine
from hangar.environments import require_name
from hangar.ssh import include, tunnel


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--remove", action="store_true", help="take back what this wrote")


def run(args: argparse.Namespace) -> int:
    require_name(args.environment)
    if args.remove:
        removed = include.remove(args.environment)
        console.say("\n".join(f"Removed {name}" for name in removed) or "There was nothing to remove.")
        if args.json:
            console.json({"removed": removed})
        return 0
    machine = load_machine(args)
    forwards = tunnel.planned(machine.server.environment, machine.services)
    changed = include.write(machine.server, machine.private_key, forwards)
    path = include.include_file(args.environment)
    console.say(f"{'Wrote' if changed else 'Unchanged:'} {path}")
    included = include.is_included() or _offer_include()
    if args.json:
        console.json(
            {"host": machine.server.name, "file": str(path), "changed": changed, "included": included}
        )
    if included:
        console.say(f"Try it: ssh {machine.server.name}   (VS Code: Remote-SSH, the same name)")
    return 0


def _offer_include() -> bool:
    after, difference = include.proposal()
    console.say(difference)
    if not console.confirm("Change ~/.ssh/config like this?"):
        console.say(
            f"Left as it is. ssh finds the machine once you add this line yourself: {include.INCLUDE}"
        )
        return False
    include.accept(after)
    return True
