"""pipelines: make Airbyte hold what pipelines/*.yml declares."""

import argparse
import getpass
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from hangar import console, paths
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.airbyte.client import Client
    from hangar.airbyte.load import Declared
    from hangar.airbyte.records import Step, World
    from hangar.config import Config

CHANGES_FOUND = 4
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
    parser.add_argument(
        "--exit-code", action="store_true", help=f"plan: exit {CHANGES_FOUND} when there are changes"
    )
    parser.add_argument("--name", help="secret: its name; the secret itself comes on standard input")


def run(args: argparse.Namespace) -> int:
    from hangar import config
    from hangar.airbyte import load

    settings = config.load(args.environment, args.overrides)
    if args.action == "secret":
        return keep(args, settings)
    declared = load.load(settings)
    steps = apply(args, declared) if args.action == "apply" else plan(args, declared)
    if args.json:
        console.json({"changes": [as_data(step) for step in steps]})
    changed = any(step.action != "nothing" for step in steps)
    return CHANGES_FOUND if args.action == "plan" and args.exit_code and changed else 0


def plan(args: argparse.Namespace, declared: "Declared") -> "tuple[Step, ...]":
    """Shows what `apply` would change."""
    with client(args) as airbyte:
        airbyte.open(declared.workspace)
        _, steps = compare(args, declared, airbyte)
    show(steps)
    changed = any(step.action != "nothing" for step in steps)
    console.say(
        f"Make it so: ./provision.py pipelines apply {args.environment}" if changed else "Nothing to do."
    )
    return steps


def apply(args: argparse.Namespace, declared: "Declared") -> "tuple[Step, ...]":
    """Makes Airbyte match. Asks before something goes or is taken over; checks before it changes anything."""
    from hangar.airbyte import apply as work
    from hangar.airbyte import checks

    with client(args) as airbyte, console.Progress() as progress:
        airbyte.open(declared.workspace, who=_who(args))
        checks.remove_leftovers(airbyte.world(), airbyte)
        world, steps = compare(args, declared, airbyte)
        show(steps)
        if all(step.action == "nothing" for step in steps):
            console.say("Nothing to do.")
            return steps
        require_consent(steps)
        with progress.stage("Checks"):
            checks.require_workable(steps, airbyte, progress.report)
        with progress.stage("Pipelines"):
            work.apply(steps, world, airbyte, progress.step)
    return steps


def compare(
    args: argparse.Namespace, declared: "Declared", airbyte: "Client"
) -> "tuple[World, tuple[Step, ...]]":
    """Airbyte as it is, and the steps to what is declared.

    Raises:
        HangarError: a secret that the files name is not on the machine.
    """
    from hangar.airbyte import planning
    from hangar.airbyte.session import missing_secret
    from hangar.airbyte.wanted import wanted

    world, found = airbyte.world(), wanted(declared)
    states = airbyte.secrets(found)
    missing = [
        (f"{one.kind}s.{one.name}.{field}", name)
        for one in found
        for field, name in one.references.items()
        if states[one.key][field] == "missing"
    ]
    if missing:
        raise missing_secret(missing, args.environment)
    return world, planning.plan(found, world, states)


def keep(args: argparse.Namespace, settings: "Config") -> int:
    """Hands a secret from standard input to the machine; it stands nowhere on the way."""
    if not args.name or sys.stdin.isatty():
        raise HangarError(
            "A secret needs a name, and comes on standard input.",
            resolution=f"Say: ./provision.py pipelines secret {args.environment} --name NAME < FILE",
        )
    value = sys.stdin.read().rstrip("\n")
    with client(args) as airbyte:
        airbyte.keep(args.name, value)
    console.say(
        f"{settings.server_name} keeps {args.name}. Use it: ./provision.py pipelines apply {args.environment}"
    )
    if args.json:
        console.json({"kept": args.name})
    return 0


@contextmanager
def client(args: argparse.Namespace) -> "Iterator[Client]":
    """Airbyte on the environment's machine, through SSH."""
    from hangar.airbyte import session
    from hangar.airbyte.client import Client
    from hangar.commands._machine import reach

    server = reach(args).server
    argv = session.ssh_command(paths.ssh_config(server.environment), server.name)
    log = paths.log_dir(server.environment) / "pipelines.log"
    with session.opened(argv, server.environment, server.name, log) as opened:
        yield Client(opened)


def require_consent(steps: "Sequence[Step]") -> None:
    """Asks before something is removed or taken over.

    Raises:
        HangarError: the answer was no; nothing was changed.
    """
    going = [f"{step.kind} {step.name}" for step in steps if step.action in ("delete", "replace")]
    adopted = [f"{step.kind} {step.name}" for step in steps if step.action == "adopt"]
    questions = []
    if going:
        questions.append(
            f"Remove {', '.join(going)}? The data that was moved stays; what was synced last is forgotten."
        )
    if adopted:
        questions.append(
            f"Take over {', '.join(adopted)}? It was not made from the files; they decide from now on."
        )
    if not all(console.confirm(question) for question in questions):
        raise HangarError("Airbyte was left as it is.")


def show(steps: "Sequence[Step]") -> None:
    """One line a resource, and below it what changes from what to what."""
    for step in steps:
        line = f"{SIGNS[step.action]} {step.kind} {step.name}: {WORDS.get(step.action, step.action)}"
        console.say(f"{line}  ({step.detail})" if step.detail else line, STYLES.get(step.action, ""))
        for name, old, new in step.fields:
            console.say(f"    {name}: {old} → {new}")


def as_data(step: "Step") -> dict[str, Any]:
    fields = [{"name": name, "old": old, "new": new} for name, old, new in step.fields]
    return {"kind": step.kind, "name": step.name, "action": step.action, "fields": fields}


def _who(args: argparse.Namespace) -> str:
    place = f"{getpass.getuser()}@{socket.gethostname()}"
    return f"`provision.py pipelines apply {args.environment}` ({place}, since {time.strftime('%H:%M:%S')})"
