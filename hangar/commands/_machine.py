"""What verbs that speak to a machine begin with: its settings and the machine itself."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hangar import console, machine, paths, process
from hangar.cloud import cloud_for
from hangar.cloud.base import Server
from hangar.errors import CommandFailed, HangarError, MachineMissing
from hangar.ssh import client_config, jump, known_hosts, login

if TYPE_CHECKING:
    from hangar.config import Config

PATIENCE = 20.0
"""Seconds for the way to the machine's host key."""


@dataclass(frozen=True)
class Machine:
    server: Server
    settings: "Config"

    @property
    def private_key(self) -> Path:
        return machine.private_key(self.settings)

    @property
    def services(self) -> dict[str, int]:
        """What people reach through SSH: name → port on the machine's loopback."""
        return machine.services(self.settings)


def load_machine(args: argparse.Namespace) -> Machine:
    """The running machine of the environment that the command line names.

    Raises:
        MachineMissing: there is none.
    """
    from hangar import config

    settings = config.load(args.environment, args.overrides)
    server = cloud_for(settings).server()
    if server is None:
        raise MachineMissing(args.environment)
    return Machine(server, settings)


def reach(args: argparse.Namespace) -> Machine:
    """`load_machine`, and this computer knows how to log in, even one that never ran `up` (a deployment's runner)."""
    from hangar import pipeline

    found = load_machine(args)
    pipeline.introduce(found.server, found.settings)
    return found


def acquaint(args: argparse.Namespace, *, as_operator: bool = False) -> None:
    """Sees to it that this computer knows how to log in (`as_operator`: as Hangar's own calls do, whoever is here),
    also to a machine that was made from another one, and that the operator's login is the one of this call where
    `--set` changes something of it.

    Raises:
        MachineMissing: there is none; one of this computer would be known here.
        HangarError: the operator's key is wanted and not here.
    """
    from hangar import config
    from hangar.commands._editor import load_for

    env = args.environment
    own = None if as_operator else login.recorded(env)
    is_known = client_config.knows_operator(env) if as_operator else client_config.knows(env)
    if is_known and not (args.overrides and own is None):
        return
    if not client_config.of(env).exists() and config.load(env, args.overrides).is_here:
        raise MachineMissing(env)
    if own:
        load_for(args, own)
    else:
        reach(args)


def look_at_host_key(args: argparse.Namespace) -> None:
    """After a login that failed: says so where that is because the machine shows another host key than the pinned one.
    The keys of one that was made anew from another computer are pinned, as its cloud tells them.
    """
    env = args.environment
    said = _shown(env)
    if not known_hosts.is_another_key(said):
        return
    known, path = login.recorded(env), paths.known_hosts(env)
    args.overrides = login.overrides(known, args.overrides)
    try:
        server = load_machine(args).server
        if server.jump and jump.is_in_the_way(said):
            what, cure = jump.why(said)
            raise HangarError(f"The way to {server.name} leads over a jump host, and {what}.", "", cure)
        if known_hosts.is_for(server, path):
            raise known_hosts.another_key(server.name, server.host_keys, said)
        known_hosts.pin(server, path)
    except HangarError as error:
        console.error(error)
        return
    console.warn(
        f"{server.name} was made anew from another computer, so it has another host key. Its cloud tells the new one,"
        " which is pinned now: run the same command again."
    )


def _shown(env: str) -> str:
    """What ssh says of the host key. It stops there: nobody logs in, and nothing runs twice."""
    argv = ["ssh", "-F", str(client_config.of(env)), "-o", "BatchMode=yes", "-o", "ControlPath=none",
            "-o", "PreferredAuthentications=none", f"hangar-{env}", "true"]  # fmt: skip
    try:
        return process.bounded(argv, input="", check=False, timeout=PATIENCE).stderr
    except CommandFailed:
        return ""
