"""restore: a new machine beside the old one, with the data of a snapshot."""

import argparse
import shutil

from hangar import console, paths
from hangar.commands import _lasting
from hangar.environments import require_name
from hangar.errors import HangarError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _lasting.break_lock(parser)
    parser.add_argument(
        "--from", dest="snapshot", metavar="SNAPSHOT", required=True, help="its name (see: snapshot list)"
    )
    parser.add_argument("--to", metavar="NEW", default="", help="the new environment (default: ENV-restored)")


def run(args: argparse.Namespace) -> int:
    new = args.to or f"{args.environment}-restored"
    require_name(new)
    config = _lasting.settings(args)
    if paths.env_dir(new).exists():
        raise HangarError(f"There is an environment {new} already.", resolution="Name another: --to NEW")
    with _lasting.at_work(config, args, "restore", "Restore") as (machine, report):
        disk = machine.restore(args.snapshot, new, report)
        # Only now: without its disk, `up` would make the new environment an empty one.
        paths.env_dir(new).mkdir(parents=True)
        shutil.copy(paths.platform_file(args.environment), paths.platform_file(new))
    console.say(
        f"The disk {disk} holds what {args.snapshot} held, and {new} is set up as {args.environment} is."
    )
    console.say(f"Next: ./provision.py up {new}{_again(args.overrides)}")
    if args.json:
        console.json({"environment": new, "disk": disk})
    return 0


def _again(overrides: list[str]) -> str:
    return "".join(f" --set {one}" for one in overrides)
