"""plan: show what `up` would change, and change nothing."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from hangar import config, console
from hangar.cloud.base import Plan

if TYPE_CHECKING:
    from hangar.playbook import Recap

CHANGES_FOUND = 4
SIGNS = {"create": "+", "update": "~", "replace": "±", "nothing": "="}
STYLES = {"create": "green", "update": "yellow", "replace": "bold red", "nothing": ""}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--exit-code", action="store_true", help=f"exit {CHANGES_FOUND} when there are changes"
    )


def run(args: argparse.Namespace) -> int:
    settings = config.load(args.environment, args.overrides)
    from hangar import pipeline

    plan, recap = pipeline.plan(settings)
    show(plan)
    show_recap(recap, args.environment)
    if args.json:
        changes = [asdict(change) for change in plan.changes]
        console.json({"machine": changes, "playbook": None if recap is None else asdict(recap)})
    changed = plan.has_changes or recap is None or recap.changed > 0
    return CHANGES_FOUND if changed and args.exit_code else 0


def show(plan: Plan) -> None:
    for change in plan.changes:
        line = f"{SIGNS[change.action]} {change.resource}: {change.action}"
        console.say(f"{line}  ({change.detail})" if change.detail else line, STYLES[change.action])
        for name, old, new in change.fields:
            console.say(f"    {name}: {old} → {new}")


def show_recap(recap: "Recap | None", environment: str) -> None:
    if recap is None:
        console.say("What Ansible would change on the machine can be said once it runs.")
    elif recap.changed:
        console.say(f"~ on the machine: {recap.changed} changes", "yellow")
    else:
        console.say("= on the machine: nothing to change")
    console.say(f"Make it so: ./provision.py up {environment}" if recap is None or recap.changed else "")
