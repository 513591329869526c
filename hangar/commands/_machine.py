"""What verbs that speak to a machine begin with: its settings and the machine itself."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hangar import machine
from hangar.cloud import cloud_for
from hangar.cloud.base import Server
from hangar.errors import MachineMissing

if TYPE_CHECKING:
    from hangar.config import Config


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


def acquaint(args: argparse.Namespace) -> None:
    """Sees to it that this computer knows how to log in, also to a machine that was made from another one.

    Raises:
        MachineMissing: there is none; one of this computer would be known here.
    """
    from hangar import config, inventory
    from hangar.ssh import client_config

    if client_config.of(args.environment).exists():
        return
    if config.load(args.environment, args.overrides).cloud in inventory.LOCAL:
        raise MachineMissing(args.environment)
    reach(args)
