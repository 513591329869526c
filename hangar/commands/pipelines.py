"""pipelines: make Airbyte hold what pipelines/*.yml declares."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hangar import console
from hangar.commands import _flags
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.airbyte.client import Client
    from hangar.airbyte.load import Declared
    from hangar.airbyte.records import Step

SIGNS = {"create": "+", "adopt": "~", "update": "~", "replace": "±", "delete": "-", "nothing": "="}
STYLES = {
    "create": "green", "adopt": "yellow", "update": "yellow", "replace": "bold red", "delete": "bold red",
}  # fmt: skip
WORDS = {"nothing": "no change", "adopt": "take over (it was not made from the files)"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=("plan", "apply", "secret"),
        help="show what would change; change it; or keep a secret that the files may name",
    )  # fmt: skip
    _flags.exit_code(parser, "plan")
    parser.add_argument("--name", help="secret: its name; the secret itself comes on standard input")


def run(args: argparse.Namespace) -> int:
    from hangar import config, given
    from hangar.airbyte import load

    settings = config.load(args.environment, args.overrides)
    if args.action == "secret":
        given.require_kept_here(settings, args.name or "NAME")
        return keep(args)
    declared = load.load(settings)
    steps = apply(args, declared) if args.action == "apply" else plan(args, declared)
    if args.json:
        console.json({"changes": [as_data(step) for step in steps]})
    return _flags.CHANGES_FOUND if args.action == "plan" and args.exit_code and has_changes(steps) else 0


def plan(args: argparse.Namespace, declared: "Declared") -> "tuple[Step, ...]":
    """Shows what `apply` would change."""
    from hangar.airbyte import stage

    with client(args) as airbyte:
        steps = stage.look(airbyte, args.environment, declared)
    show(steps)
    if has_changes(steps):
        console.say(f"Make it so: ./provision.py pipelines apply {args.environment}")
    return steps


def apply(args: argparse.Namespace, declared: "Declared") -> "tuple[Step, ...]":
    """Makes Airbyte match, once what goes or is taken over has been agreed to."""
    from hangar.airbyte import stage

    def agree(steps: "Sequence[Step]") -> None:
        show(steps)
        stage.require_consent(steps)

    with client(args) as airbyte, console.Progress() as progress, progress.stage("Pipelines"):
        return stage.ensure(airbyte, args.environment, declared, progress.step, agree)


def keep(args: argparse.Namespace) -> int:
    """Hands a secret from standard input to the machine; it stands nowhere on the way."""
    value = "" if not args.name or sys.stdin.isatty() else _given()
    if not value:
        raise HangarError(
            "A secret needs a name, and comes on standard input.",
            resolution=f"Say: ./provision.py pipelines secret {args.environment} --name NAME < FILE",
        )
    with client(args) as airbyte:
        airbyte.keep(args.name, value)
    console.say(f"The machine keeps {args.name}. Use it: ./provision.py pipelines apply {args.environment}")
    if args.json:
        console.json({"kept": args.name})
    return 0


def _given() -> str:
    """What comes on standard input, without the mark that some editors put before a text, and the last line's end."""
    try:
        value = sys.stdin.read()
        value.encode()  # bytes that are no text may have been let through
    except UnicodeError:
        value = "\0"
    if "\0" in value:
        raise HangarError(
            "The secret was not kept: what came on standard input is no text in UTF-8.",
            resolution="Save it as UTF-8 and run the same command again.",
        )
    return value.removeprefix("\ufeff").rstrip("\n")


@contextmanager
def client(args: argparse.Namespace) -> "Iterator[Client]":
    """Airbyte on the environment's machine."""
    from hangar.airbyte import stage
    from hangar.commands._machine import reach

    with stage.connected(reach(args).server) as airbyte:
        yield airbyte


def has_changes(steps: "Sequence[Step]") -> bool:
    return any(step.action != "nothing" for step in steps)


def show(steps: "Sequence[Step]") -> None:
    """One line a resource, and below it what changes from what to what."""
    for step in steps:
        line = f"{SIGNS[step.action]} {step.kind} {step.name}: {WORDS.get(step.action, step.action)}"
        console.say(f"{line}  ({step.detail})" if step.detail else line, STYLES.get(step.action, ""))
        for name, old, new in step.fields:
            console.say(f"    {name}: {old} → {new}")
    if not has_changes(steps):
        console.say("Nothing to do.")


def as_data(step: "Step") -> dict[str, Any]:
    fields = [{"name": name, "old": old, "new": new} for name, old, new in step.fields]
    return {"kind": step.kind, "name": step.name, "action": step.action, "fields": fields}
