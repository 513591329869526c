"""What verbs for somebody at an editor share: the machine as this person reaches it, and its name for ssh."""

import argparse
from dataclasses import dataclass

from hangar import console, paths
from hangar.commands._machine import Machine, load_machine
from hangar.errors import HangarError
from hangar.ssh import client_config, include, known_hosts, login, tunnel
from hangar.ssh.login import Login


@dataclass(frozen=True)
class Named:
    """The machine under its name for ssh: what was written, and whether ssh reads it."""

    machine: Machine
    login: Login | None
    forwards: tuple[tunnel.Forward, ...]
    changed: bool
    included: bool


def load_for(args: argparse.Namespace, login_here: Login | None) -> Machine:
    """The running machine, with its host keys pinned and a way in for whoever is here; the operator's key is asked
    of nobody else.

    Raises:
        MachineMissing: there is none.
        HangarError: it shows other host keys than before.
    """
    args.overrides = login.overrides(login_here, args.overrides)
    found = load_machine(args)
    env = found.server.environment
    paths.ensure_state_dir(env)
    known_hosts.pin(found.server, paths.known_hosts(env))
    if login_here:
        login.record(env, login_here)
        client_config.write_login(found.server, login_here)
    else:
        client_config.write(found.server, found.private_key)
    return found


def ensure_named(args: argparse.Namespace, login_here: Login | None) -> Named:
    """Makes ssh know the machine: the include file is written, and ~/.ssh/config reads it, after a question."""
    include.require_readable()
    machine = load_for(args, login_here)
    if login_here is None and not machine.private_key.exists():
        raise HangarError(
            f"The operator's key of {machine.server.name} is not here.",
            "Somebody of the team comes with a name and a key of their own.",
            f"./provision.py ssh-config {args.environment} --user NAME --key ~/.ssh/id_ed25519",
        )
    forwards = tunnel.planned(machine.server, machine.services)
    changed = include.write(machine.server, machine.private_key, forwards, login_here)
    return Named(machine, login_here, forwards, changed, include.is_included() or _offer_include())


def _offer_include() -> bool:
    after, difference = include.proposal()
    console.say(difference)
    if not console.confirm("Change ~/.ssh/config like this?"):
        console.say(include.LEFT)
        return False
    include.accept(after)
    return True


def where(forward: tunnel.Forward) -> str:
    """A service and its address on this computer, for a person."""
    moved = f"  (port {forward.remote} is taken here)" if forward.moved else ""
    return f"{forward.name}: {forward.page}{moved}"
