"""upgrade: newer software on the machine, seen beforehand, proven afterwards, undone where it does not hold."""

import argparse
from typing import TYPE_CHECKING

from hangar import console
from hangar.commands import _flags
from hangar.commands._numbers import between
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.upgrade.attempt import Done
    from hangar.upgrade.records import Plan


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=("plan", "apply"), nargs="?", default="plan",
        help="show what would change, or change it (default: plan)",
    )  # fmt: skip
    _flags.exit_code(parser, "plan")
    parser.add_argument("--without-backup", action="store_true", help="apply: make no backup first")
    parser.add_argument(
        "--minutes", type=between(0, 1440, "minutes", float), default=60.0, metavar="N",
        help="apply: how long tasks that run may take to end by themselves (default: 60)",
    )  # fmt: skip
    _flags.break_lock(parser, "apply")


def run(args: argparse.Namespace) -> int:
    from hangar import config
    from hangar.upgrade import show, stage

    settings = config.load(args.environment, args.overrides)
    if args.action == "plan":
        found = stage.plan(settings)
        show.show(found)
        if args.json:
            console.json(show.as_data(found))
        return _say_next(found, args)

    def agree(wanted: "Plan") -> None:
        show.show(wanted)
        tasks = "; no task begins meanwhile, those that run end first" if wanted.needs_drain else ""
        if not console.confirm(f"Upgrade {settings.server_name}{tasks}?"):
            raise HangarError(f"{settings.server_name} was left as it is.")

    done = stage.apply(
        settings, agree, without_backup=args.without_backup, minutes=args.minutes, break_lock=args.break_lock
    )
    _say_done(done, args.environment)
    if args.json:
        console.json({
            "plan": show.as_data(done.plan), "backup": done.backup, "broken_before": list(done.broken_before),
            "packages": [[one.name, one.old, one.new] for one in done.packages],
        })  # fmt: skip
    return 0


def _say_next(found: "Plan", args: argparse.Namespace) -> int:
    if not found.has_changes and not found.refusals:
        console.say("Nothing to upgrade.")
        return 0
    again = f"./provision.py upgrade apply {args.environment}"
    console.say("It is not made by itself: see above." if found.refusals else f"Make it so: {again}")
    return _flags.CHANGES_FOUND if args.exit_code else 0


def _say_done(done: "Done", environment: str) -> None:
    if not done.plan.has_changes:
        console.say("Nothing to upgrade.")
        return
    if done.broken_before:
        console.warn("These promises did not hold before, either: " + "; ".join(done.broken_before))
    console.say(
        f"The machine of {environment} is upgraded; all that held before holds, and tasks begin again."
    )
    if done.backup:
        console.say(f"The backup from before it: {done.backup}")
