"""restore: a new machine beside the old one, with the data of a snapshot."""

import argparse
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hangar import console, paths
from hangar.commands import _flags, _lifecycle
from hangar.environments import require_name
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.config import Config


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _flags.break_lock(parser)
    parser.add_argument(
        "--from", dest="snapshot", metavar="SNAPSHOT", required=True, help="its name (see: snapshot list)"
    )
    parser.add_argument("--to", metavar="NEW", default="", help="the new environment (default: ENV-restored)")


def run(args: argparse.Namespace) -> int:
    new = args.to or f"{args.environment}-restored"
    require_name(new)
    config = _lifecycle.settings(args)
    if paths.env_dir(new).exists():
        raise HangarError(f"There is an environment {new} already.", resolution="Name another: --to NEW")
    with _lifecycle.at_work(config, args, "restore", "Restore") as (machine, report):
        disk = machine.restore(args.snapshot, new, report)
        # Only now: without its disk, `up` would make the new environment an empty one.
        _set_up(args.environment, new)
    console.say(
        f"The disk {disk} holds what {args.snapshot} held, and {new} is set up as {args.environment} is."
    )
    for note in _notes(config, new):
        console.warn(note)
    console.say(f"Next: ./provision.py up {new}{_again(args.overrides)}")
    if args.json:
        console.json({"environment": new, "disk": disk})
    return 0


def _set_up(old: str, new: str) -> None:
    """All that belongs to the settings: locks, certificates, its own pipelines. Whole or not at all."""
    half = paths.env_dir(f".{new}")
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(paths.env_dir(old), half, ignore=shutil.ignore_patterns(paths.hosts_file(old).name))
    ours = half / "host_vars" / f"hangar-{old}.yml"
    if ours.exists():
        ours.rename(ours.with_name(f"hangar-{new}.yml"))
    half.rename(paths.env_dir(new))


def _notes(config: "Config", new: str) -> Iterator[str]:
    """What is bound to the old environment's name."""
    from hangar import given
    from hangar.airbyte import load
    from hangar.backup.work import places_elsewhere

    old, where = config.environment, paths.shown(paths.platform_file(new))
    if given.is_elsewhere(config) and config.secrets.prefix is None:
        yield f"Its secrets have the name of {old}: write secrets.prefix: {config.server_name}- into {where}."
    if shared := places_elsewhere(config):
        yield (
            f"Its backups go where those of {old} go ({', '.join(shared)}): name places of its own in {where} "
            "before `up`."
        )
    for path in load.of_it_by_name(config):
        place = paths.env_dir(new) / path.name if path.parent == paths.env_dir(old) else path
        yield f"{paths.shown(place)} is for {old} by name: add {new} to its `environments` before `up`."


def _again(overrides: list[str]) -> str:
    return "".join(f" --set {one}" for one in overrides)
