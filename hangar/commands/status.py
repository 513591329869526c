"""status: how the machine and its services are, what its monitoring warns of, and whether it wants to grow."""

import argparse
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from hangar import console, paths, process
from hangar.cloud import cloud_for
from hangar.cloud.base import Server
from hangar.commands._numbers import between
from hangar.errors import HangarError, MachineUnreachable
from hangar.growth import Growth, wishes
from hangar.ssh import call
from hangar.ssh.known_hosts import is_for
from hangar.status import Health, Usage, read, script
from hangar.watched import Alert, size, span

if TYPE_CHECKING:
    from hangar.config import Config

TIMEOUT = 60.0
GIB = 2**30
COLOURS = {"critical": "bold red", "warning": "yellow"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-w", "--watch", nargs="?", type=between(1, 3600, "seconds", float), const=5.0, metavar="SECONDS",
        help="look again every 5 seconds, or as many as you say (Ctrl-C ends it)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> int:
    from hangar import config, pipeline

    settings = config.load(args.environment, args.overrides)
    server = cloud_for(settings).server()
    if server is None:
        console.say(
            f"{settings.server_name} does not run. Start or make it: ./provision.py up {args.environment}"
        )
        if args.json:
            console.json({"machine": {"name": settings.server_name, "state": "not running"}})
        return 1
    here, known = paths.ssh_config(args.environment), paths.known_hosts(args.environment)
    if not here.exists() or not is_for(server, known):  # made, or made anew, from another computer
        pipeline.introduce(server, settings)
    if args.watch is None:
        look(server, settings, as_json=args.json)
        return 0
    return watch(server, settings, args.watch, as_json=args.json)


def look(server: Server, settings: "Config", *, as_json: bool, clear: bool = False) -> None:
    """Asks once and shows what the machine says."""
    health = ask(server, settings)
    warnings = [*health.warnings(settings), *_of_backups(health, settings)]
    grow = wishes(health.watched.alerts, settings) if health.watched else ()
    if clear:
        console.clear()
    show(server, health, warnings, grow)
    if as_json:
        console.json(as_data(server, health, warnings, grow))


def _of_backups(health: Health, settings: "Config") -> list[str]:
    """What the machine cannot know: whether what it made has left it. Where it has made none, BackupOld tells."""
    from hangar.backup.listing import unfetched

    if health.watched is None or health.watched.figure("backup_age") is None:
        return []
    said = unfetched(settings, datetime.now(UTC))
    return [said] if said else []


def watch(server: Server, settings: "Config", every: float, *, as_json: bool) -> int:
    """Looks again and again until it is interrupted. A machine that is away for a while may come back."""
    while True:
        try:
            look(server, settings, as_json=as_json, clear=True)
        except HangarError as error:
            console.error(error)
        time.sleep(every)


def ask(server: Server, settings: "Config") -> Health:
    """The machine's health.

    Raises:
        MachineUnreachable: it does not answer over SSH.
        HangarError: its answer makes no sense.
    """
    argv = call.argv(server, "sh -s")
    done = process.bounded(argv, input=script(settings), check=False, timeout=TIMEOUT)
    if done.returncode != 0:
        raise MachineUnreachable(
            f"{server.name} runs, but does not answer over SSH.",
            done.stderr.strip(),
            f"Mend it: ./provision.py up {server.environment}",
        )
    try:
        return read(done.stdout)
    except (ValueError, KeyError, IndexError) as error:
        # It may be on its way up or down; `watch` looks again.
        raise HangarError(
            f"{server.name} answers, but not with how it is.", f"* {type(error).__name__}: {error}",
            f"See what runs there: ./provision.py ssh {server.environment}",
        ) from error  # fmt: skip


def show(server: Server, health: Health, warnings: list[str], grow: tuple[Growth, ...] = ()) -> None:
    days, rest = divmod(int(health.uptime), 86400)
    up = f"{days} d {rest // 3600} h" if days else f"{rest // 3600} h {rest % 3600 // 60} min"
    console.say(f"{server.name}: running for {up}, SSH at {server.address} port {server.port}", "bold")
    if health.watched:
        show_alerts([alert for alert in health.watched.alerts if not alert.resource])
    rows = [("CPUs", f"{health.cpu.percent} %", ""), ("memory", *_amount(health.memory))]
    rows += [(f"disk {place}", *_amount(usage)) for place, usage in health.disks.items()]
    rows += health.watched.rows() if health.watched else []
    console.table(("", "", ""), rows)
    console.table(
        ("service", "state", "memory"),
        [(service.name, service.state, _memory_of(service.name, health)) for service in health.services],
    )
    for wish in grow:
        console.say(f"The machine wants more {wish.resource}, since {_ago(wish.since)}: {wish.why}", "cyan")
        console.say(f"  {wish.fits}{f' ({wish.change})' if wish.change else ''} would do.")
    for warning in warnings:
        console.warn(warning)


def show_alerts(alerts: list[Alert]) -> None:
    """Before everything else: what fires, since when, and what to do."""
    for alert in alerts:
        console.say(
            f"{alert.level}: {alert.reason}  (since {_ago(alert.since)})", COLOURS.get(alert.level, "")
        )
        console.say(f"  {alert.action}")
    if not alerts:
        console.say("No alert fires.", "green")


def _memory_of(service: str, health: Health) -> str:
    """What a container uses; "" where nobody knows, and for what is none."""
    used = health.watched.figure("container_memory", service) if health.watched else None
    return "" if used is None else size(used)


def _ago(since: datetime) -> str:
    return span((datetime.now(UTC) - since).total_seconds())


def _amount(usage: Usage) -> tuple[str, str]:
    return f"{usage.percent} %", f"{usage.used / GIB:.1f} of {usage.total / GIB:.1f} GiB"


def as_data(
    server: Server, health: Health, warnings: list[str], grow: tuple[Growth, ...] = ()
) -> dict[str, Any]:
    machine = {
        "name": server.name, "state": "running", "cloud": server.cloud, "address": server.address,
        "port": server.port,
    }  # fmt: skip
    growth = [wish.as_data() for wish in grow]
    return {"machine": machine, **health.as_data(), "growth": growth, "warnings": warnings}
