"""rotate: make a secret of the machine anew, tell whoever uses it, and prove that the old one is refused."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hangar import console
from hangar.commands import _flags
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.given import Given
    from hangar.rotation.catalogue import Secret


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", nargs="?", default="", help="which secret; --list names them")
    parser.add_argument("--list", action="store_true", help="list what can be rotated, and what restarts")
    parser.add_argument(
        "--now", action="store_true",
        help="do not wait until no task runs: those that run are ended and tried again as their DAGs say",
    )  # fmt: skip
    _flags.break_lock(parser)


def run(args: argparse.Namespace) -> int:
    from hangar import config, given
    from hangar.rotation import catalogue

    if args.list and args.name:  # `rotate --list sandbox`: there is no secret to name
        args.environment = args.name
    settings = config.load(args.environment, args.overrides)
    known = catalogue.secrets(settings)
    theirs = given.given(settings)
    if args.list:
        return show(known, theirs, as_json=args.json)
    if args.name in {one.name for one in theirs}:
        given.require_kept_here(settings, args.name)
    wanted = next((secret for secret in known if secret.name == args.name), None)
    if wanted is None:
        raise HangarError(
            f"There is no secret {args.name} on this machine." if args.name else "Which secret?",
            f"* There are: {', '.join(secret.name for secret in known)}",
            f"What each is and what restarts: ./provision.py rotate --list {args.environment}",
        )
    refused = "the old one is refused" if rotate(args, wanted) else "there was no old one that could be tried"
    console.say(f"{wanted.name} is new; {refused}. Effect: {wanted.effect}.")
    if args.json:
        console.json({"rotated": wanted.name})
    return 0


def rotate(args: argparse.Namespace, secret: "Secret") -> bool:
    """Alone on the environment, as `up` is. Whether the old one was tried and refused."""
    from hangar import lock, pipeline
    from hangar.cloud import cloud_for
    from hangar.commands._machine import reach
    from hangar.rotation import rotate as rotation

    command = f"provision.py rotate {secret.name} {args.environment}"
    with lock.held(args.environment, command), console.Progress() as progress:
        machine = reach(args)
        alone = cloud_for(machine.settings).hold(command, break_lock=args.break_lock)
        with alone, progress.stage("Rotation"):
            declared = pipeline.declared_pipelines(machine.settings)
            return rotation.rotate(
                secret, machine.server, machine.settings, declared, progress.step, now=args.now
            )


def show(known: "Sequence[Secret]", theirs: "Sequence[Given]", *, as_json: bool) -> int:
    """One line a secret; those that Secret Manager has are others' to change."""
    if as_json:
        console.json([{"name": one.name, "what": one.what, "effect": one.effect} for one in known])
    else:
        console.table(
            ("secret", "what it is", "what restarts"), [(one.name, one.what, one.effect) for one in known]
        )
    if theirs and not as_json:
        console.say(
            "Those of Google Secret Manager get a new version there; the machine picks it up by itself:"
        )
        console.table(("secret", "where it is"), [(one.name, one.resource) for one in theirs])
    return 0
