"""The SSH client configuration of an environment: .hangar/<env>/ssh_config, for `ssh`, tunnels and the login proof."""

from pathlib import Path

from hangar import paths
from hangar.cloud.base import Server
from hangar.ssh.files import write_atomically

KEEP_ALIVE = 15
"""Seconds between two signs of life; after four without an answer a connection counts as dead."""


def write(server: Server, private_key: Path) -> Path:
    """Writes the environment's ssh_config and returns its path."""
    path = paths.ssh_config(server.environment)
    write_atomically(path, render(server, private_key))
    return path


def render(server: Server, private_key: Path) -> str:
    """One Host block. No shared connection: its socket's folder may be gone after a restart of this computer, and
    then ssh would not connect at all.
    """
    lines = [
        f"Host {server.name}",
        f"HostName {server.address}",
        f"Port {server.port}",
        f"User {server.admin}",
        f"IdentityFile {quote(private_key)}",
        "IdentitiesOnly yes",
        f"HostKeyAlias {server.name}",
        f"UserKnownHostsFile {quote(paths.known_hosts(server.environment))}",
        "GlobalKnownHostsFile /dev/null",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "ForwardAgent no",
        f"ServerAliveInterval {KEEP_ALIVE}",
        "ServerAliveCountMax 4",
    ]
    return "\n  ".join(lines) + "\n"


def quote(path: Path) -> str:
    """A path as ssh_config takes it: in double quotes where it holds blanks."""
    text = str(path)
    return f'"{text}"' if any(char.isspace() for char in text) else text
