"""status: how the machine and its services are."""

import argparse
from typing import TYPE_CHECKING, Any

from hangar import console, paths, process
from hangar.cloud import cloud_for
from hangar.cloud.base import Server
from hangar.errors import MachineUnreachable
from hangar.status import Health, Usage, read, script

if TYPE_CHECKING:
    from hangar.config import Config

TIMEOUT = 60.0
GIB = 2**30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Nothing of its own."""


def run(args: argparse.Namespace) -> int:
    from hangar import config

    settings = config.load(args.environment, args.overrides)
    server = cloud_for(settings).server()
    if server is None:
        console.say(
            f"{settings.server_name} does not run. Start or make it: ./provision.py up {args.environment}"
        )
        if args.json:
            console.json({"machine": {"name": settings.server_name, "state": "not running"}})
        return 1
    health = ask(server, settings)
    warnings = health.warnings(settings)
    show(server, health, warnings)
    if args.json:
        console.json(as_data(server, health, warnings))
    return 0


def ask(server: Server, settings: "Config") -> Health:
    """The machine's health.

    Raises:
        MachineUnreachable: it does not answer over SSH.
    """
    ssh = [
        "ssh",
        "-F",
        str(paths.ssh_config(server.environment)),
        "-o",
        "BatchMode=yes",
        server.name,
        "sh -s",
    ]
    done = process.run(ssh, input=script(settings), check=False, timeout=TIMEOUT)
    if done.returncode != 0:
        raise MachineUnreachable(
            f"{server.name} runs, but does not answer over SSH.",
            done.stderr.strip(),
            f"Mend it: ./provision.py up {server.environment}",
        )
    return read(done.stdout)


def show(server: Server, health: Health, warnings: list[str]) -> None:
    days, rest = divmod(int(health.uptime), 86400)
    up = f"{days} d {rest // 3600} h" if days else f"{rest // 3600} h {rest % 3600 // 60} min"
    console.say(f"{server.name}: running for {up}, SSH at {server.address} port {server.port}", "bold")
    rows = [("CPUs", f"{health.cpu.percent} %", ""), ("memory", *_amount(health.memory))]
    rows += [(f"disk {place}", *_amount(usage)) for place, usage in health.disks.items()]
    console.table(("", "", ""), rows)
    console.table(("service", "state"), [(service.name, service.state) for service in health.services])
    for warning in warnings:
        console.warn(warning)


def _amount(usage: Usage) -> tuple[str, str]:
    return f"{usage.percent} %", f"{usage.used / GIB:.1f} of {usage.total / GIB:.1f} GiB"


def as_data(server: Server, health: Health, warnings: list[str]) -> dict[str, Any]:
    machine = {
        "name": server.name, "state": "running", "cloud": server.cloud, "address": server.address,
        "port": server.port,
    }  # fmt: skip
    return {"machine": machine, **health.as_data(), "warnings": warnings}
