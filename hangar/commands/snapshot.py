"""snapshot: take, list and delete snapshots of the data disk of a machine in the cloud."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from hangar import console
from hangar.commands import _flags, _lifecycle
from hangar.errors import HangarError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hangar.cloud.gcp.snapshots import Snapshot

ACTIONS = ("create", "list", "delete")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _flags.break_lock(parser, "create, delete")
    parser.add_argument(
        "words", metavar="[ENV] create | list | delete NAME", nargs="*",
        help="what to do (default: list), and where (default: local)",
    )  # fmt: skip
    parser.set_defaults(environment="local")


def run(args: argparse.Namespace) -> int:
    args.environment, action, name = split(args.words, args.environment)
    config = _lifecycle.settings(args)
    if action == "list":
        from hangar.cloud.lifecycle import lifecycle_for

        show(lifecycle_for(config).snapshots(), as_json=args.json)
        return 0
    if action == "delete" and not console.confirm(f"Delete the snapshot {name}? This cannot be undone."):
        raise HangarError(f"The snapshot {name} was left as it is.")
    with _lifecycle.at_work(config, args, "snapshot", "Snapshot") as (machine, report):
        if action == "create":
            name = machine.take_snapshot(report)
        else:
            machine.delete_snapshot(name, report)
    console.say(f"{'Took' if action == 'create' else 'Deleted'} {name}.")
    if args.json:
        console.json({"created" if action == "create" else "deleted": name})
    return 0


def split(words: list[str], default: str) -> tuple[str, str, str]:
    """The environment, the action and the snapshot's name.

    Raises:
        HangarError: the words are others.
    """
    left = list(words)
    env = left.pop(0) if left and left[0] not in ACTIONS else default
    action = left.pop(0) if left else "list"
    wants = 1 if action == "delete" else 0
    if action not in ACTIONS or len(left) != wants:
        raise HangarError(
            "This is not how snapshots are asked for.",
            f"* You said: snapshot {' '.join(words)}",
            f"Say: ./provision.py snapshot {env} list, create, or delete NAME",
        )
    return env, action, left[0] if left else ""


def show(found: "Sequence[Snapshot]", *, as_json: bool) -> None:
    if as_json:
        console.json([asdict(one) for one in found])
        return
    if not found:
        console.say("There are no snapshots.")
        return
    rows = [
        [one.name, one.taken, f"{one.gib} GiB", f"{one.stored / 2**30:.1f} GiB",
         "daily" if one.is_daily else "by hand", one.status.lower()]
        for one in found
    ]  # fmt: skip
    console.table(["snapshot", "taken", "disk", "stored", "made", "state"], rows)
