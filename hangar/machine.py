"""What the settings mean for the machine: its specification, its key, the services that people reach."""

from pathlib import Path
from typing import TYPE_CHECKING

from hangar import paths
from hangar.cloud.base import MachineSpec

if TYPE_CHECKING:
    from hangar.config import Config


PAGES = {"monitoring": "/user/"}
"""Where a service's page is, for those that have it elsewhere than at their root."""


def private_key(config: "Config") -> Path:
    """The key that logs in: the user's own, or the one that Hangar makes for the environment."""
    return config.access.private_key or paths.default_private_key(config.environment)


def services(config: "Config") -> dict[str, int]:
    """What people reach through SSH: name → port on the machine's loopback."""
    airbyte = {"airbyte": config.airbyte.port} if config.airbyte.enabled else {}
    return {"airflow": config.airflow.port, **airbyte, "monitoring": config.monitoring.page}


def public_key(config: "Config", *, make: bool) -> str:
    """The public half of the key that logs in. Hangar's own is made on demand (`make`), else it may be ""."""
    from hangar.ssh import keys

    private = private_key(config)
    if config.access.private_key:
        return keys.read_public_key(private)
    if make or private.exists():
        paths.ensure_state_dir(config.environment)
        return keys.ensure_key(private, config.server_name)
    return ""


def spec(config: "Config", *, make_key: bool) -> MachineSpec:
    """The machine that the settings ask for."""
    return MachineSpec(
        environment=config.environment,
        name=config.server_name,
        cpus=config.machine.cpus,
        memory_bytes=config.machine.memory,
        ssh_port=config.access.ssh_port,
        admin=config.access.admin,
        public_key=public_key(config, make=make_key),
    )
