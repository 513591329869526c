"""init: a commented platform.yml, ready to edit."""

import argparse

from hangar import console, paths
from hangar.environments import require_name
from hangar.errors import HangarError

CLOUDS = {"production": "gcp"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cloud", choices=("container", "vm", "gcp", "existing"),
        help="where the machine will come from (default: gcp for production, else container)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from hangar import example

    require_name(args.environment)
    path = paths.platform_file(args.environment)
    shown = paths.shown(path)
    if path.exists():
        raise HangarError(
            f"{shown} is there already.",
            resolution=f"Edit it, or remove it first to begin anew: rm {shown}",
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    cloud = args.cloud or CLOUDS.get(args.environment, "container")
    path.write_text(example.render(args.environment, cloud), encoding="utf-8")
    if args.json:
        console.json({"written": shown})
    console.say(f"Wrote {shown}: every setting with its default.")
    if cloud == "gcp":
        console.say("Fill in gcp.project and gcp.zone; docs/google-cloud.md shows the way.")
    if cloud == "existing":
        console.say("Fill in existing and access.private_key; docs/existing-machine.md shows the way.")
    console.say(f"Next: ./provision.py plan {args.environment}")
    return 0
