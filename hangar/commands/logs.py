"""logs: read the log of a service."""

import argparse
import re
from datetime import UTC, datetime

from hangar import paths, process
from hangar.errors import HangarError, MachineMissing
from hangar.services import SERVICES, log_command

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", metavar="SERVICE", choices=SERVICES, help=", ".join(SERVICES))
    parser.add_argument(
        "-f", "--follow", action="store_true", help="go on as new lines come (Ctrl-C ends it)"
    )
    parser.add_argument("-n", "--lines", type=int, default=100, metavar="N", help="the last N lines (100)")
    parser.add_argument("--since", metavar="WHEN", help="10m, 2h, 1d, or a time such as 2026-01-31T09:00")


def run(args: argparse.Namespace) -> int:
    from hangar import config

    since = None if args.since is None else seconds_ago(args.since, datetime.now(UTC))
    settings = config.load(args.environment, args.overrides)
    ssh_config = paths.ssh_config(args.environment)
    if not ssh_config.exists():
        raise MachineMissing(args.environment)
    service = SERVICES[args.service]
    command = log_command(service, settings, lines=args.lines, since=since, follow=args.follow)
    return process.interactive(["ssh", "-F", str(ssh_config), settings.server_name, command])


def seconds_ago(when: str, now: datetime) -> int:
    """How long ago `when` was: `10m` says it, `2026-01-31T09:00` (local time) is counted.

    Raises:
        HangarError: it is neither.
    """
    duration = re.fullmatch(r"(\d+)([smhd])", when)
    if duration:
        return int(duration[1]) * UNITS[duration[2]]
    try:
        return max(0, int((now - datetime.fromisoformat(when).astimezone(UTC)).total_seconds()))
    except ValueError:
        raise HangarError(
            f'"{when}" is neither a duration nor a time.',
            resolution="Try --since 10m or --since 2026-01-31T09:00",
        ) from None
