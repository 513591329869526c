"""logs: read the logs of one service or of all, in one place."""

import argparse
import re
from datetime import UTC, datetime

from hangar import console, paths, process
from hangar.commands._numbers import between
from hangar.errors import HangarError
from hangar.services import SERVICES, Part, reading
from hangar.ssh.call import NO_LOGIN

ALL = "all"
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LONGEST = 10 * 365 * 86400
"""Seconds: no log is older, and larger numbers mean nothing to those who read them on the machine."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(SERVICES)
    parser.add_argument("service", metavar="SERVICE", nargs="?", default=ALL, help=f"{names}; none means all")
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on as new lines come (Ctrl-C ends it)"
    )
    parser.add_argument(
        "-n", "--lines", type=between(1, 1_000_000, "lines", int), default=100, metavar="N",
        help="the last N lines (100)",
    )  # fmt: skip
    parser.add_argument("--since", metavar="WHEN", help="10m, 2h, 1d, or a time such as 2026-01-31T09:00")
    parser.add_argument("--grep", metavar="REGEX", default="", help="only lines with this in them")


def run(args: argparse.Namespace) -> int:
    from hangar import config
    from hangar.commands._machine import acquaint, look_at_host_key

    since = None if args.since is None else seconds_ago(args.since, datetime.now(UTC))
    check(args.grep)
    names, environment = chosen(args.service, args.environment)
    settings = config.load(environment, args.overrides)
    args.environment = environment
    acquaint(args, as_operator=True)
    ssh_config = paths.ssh_config(environment)
    part = Part(args.lines, since, args.follow)
    command = reading(names, settings, part, grep=args.grep, as_json=args.json)
    # The machine cleans what its services have said; one that is somebody else's by now says what it likes.
    argv = ["ssh", "-F", str(ssh_config), settings.server_name, command]
    ended = process.relayed(argv, console.pass_on, console.note)
    if ended == NO_LOGIN:
        if settings.cloud == "gcp":
            look_at_host_key(args)
        return HangarError.exit_code  # ssh has said why; its own number is none of ours
    return ended


def chosen(service: str, environment: str) -> tuple[list[str], str]:
    """The services and the environment that are meant: `logs sandbox` names no service.

    Raises:
        HangarError: there is no such service.
    """
    if service == ALL:
        return list(SERVICES), environment
    if service in SERVICES:
        return [service], environment
    if environment == "local" and paths.platform_file(service).exists():
        return list(SERVICES), service
    raise HangarError(
        f'There is no service "{service}", and no environment of that name.',
        resolution=f"Services are: {', '.join(SERVICES)}",
    )


def check(grep: str) -> None:
    """Raises HangarError unless it is a regular expression."""
    try:
        re.compile(grep)
    except re.error as error:
        raise HangarError(
            f'--grep: "{grep}" is no regular expression.', str(error), "Put a backslash before ( [ * + ? ."
        ) from None


def seconds_ago(when: str, now: datetime) -> int:
    """How long ago `when` was: `10m` says it, `2026-01-31T09:00` (local time) is counted.

    Raises:
        HangarError: it is neither.
    """
    duration = re.fullmatch(r"(\d+)([smhd])", when)
    if duration:
        return min(int(duration[1][:20]) * UNITS[duration[2]], LONGEST)
    try:
        ago = int((now - datetime.fromisoformat(when).astimezone(UTC)).total_seconds())
        return min(max(0, ago), LONGEST)
    except (ValueError, OverflowError):
        raise HangarError(
            f'"{when}" is neither a duration nor a time.',
            resolution="Try --since 10m or --since 2026-01-31T09:00",
        ) from None
