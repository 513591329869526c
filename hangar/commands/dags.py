"""dags: release the DAGs of this repository, go back, see what was released."""

import argparse
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

from hangar import console, releases
from hangar.errors import HangarError

if TYPE_CHECKING:
    from hangar.releases import Release


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action", choices=("deploy", "rollback", "list"),
        help="check and release pipelines/dags; go back to the release before; list what is kept",
    )  # fmt: skip
    parser.add_argument("--to", default="", metavar="RELEASE", help="rollback: the release to go back to")


def run(args: argparse.Namespace) -> int:
    from hangar.commands._machine import reach

    environment = reach(args).server.environment
    if args.action == "list":
        show(releases.kept(environment), as_json=args.json)
    elif args.action == "rollback":
        rollback(environment, args.to, as_json=args.json)
    else:
        deploy(environment, as_json=args.json)
    return 0


def deploy(environment: str, *, as_json: bool) -> None:
    """Lints, asks about what is in no commit, and has the machine check and release.

    Raises:
        HangarError: something is wrong with the DAGs, or the answer was no. What is released is as it was.
    """
    folder = releases.folder()
    origin, archive = releases.origin(folder), releases.pack(folder)
    releases.lint(folder)
    if origin.has_changes and not console.confirm(
        "pipelines/dags has changes that are in no commit. Release them?"
    ):
        raise HangarError("Nothing was released.", resolution="Commit them, and deploy again.")
    revision = f"{origin.revision}+changes" if origin.has_changes else origin.revision
    with console.Progress() as progress, progress.stage("Checks and release"):
        release = releases.deploy(environment, archive, revision)
    console.say(f"Released {release.id} to {environment}: {', '.join(release.dags)}")
    console.say(f"Go back: ./provision.py dags rollback {environment}")
    if as_json:
        console.json(asdict(release))


def rollback(environment: str, to: str, *, as_json: bool) -> None:
    left, back = releases.rollback(environment, to)
    console.say(f"{environment} is back from {left} to {back}; Airflow reads it within half a minute.")
    if as_json:
        console.json({"from": left, "to": back})


def show(found: "tuple[Release, ...]", *, as_json: bool) -> None:
    rows = [
        (
            "→" if one.current else "",
            one.id,
            time.strftime("%Y-%m-%d %H:%M", time.localtime(one.time)),
            one.by,
            one.revision or "-",
            str(len(one.dags)),
            "rolled back" if one.left else "",
        )
        for one in found
    ]
    console.table(("", "release", "when", "by", "revision", "DAGs", ""), rows)
    if as_json:
        console.json([asdict(one) for one in found])
