"""The SSH client configuration of an environment: .hangar/<env>/ssh_config, for `ssh`, tunnels and the login proof."""

from pathlib import Path

from hangar import paths
from hangar.cloud.base import Server
from hangar.ssh import proxy
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
    if server.proxy_command:
        lines.append(f"ProxyCommand {proxy.text(server.proxy_command)}")
    return "\n  ".join(lines) + "\n"


def quote(path: Path) -> str:
    """A path as ssh takes it: in double quotes where it holds blanks, without a meaning of its own for %."""
    text = str(path).replace("%", "%%")
    return f'"{text}"' if any(char.isspace() for char in text) else text


def unquote(text: str) -> Path:
    return Path(text.strip('"').replace("%%", "%"))


def read(path: Path) -> dict[str, str]:
    """The options that `render` wrote, by their names, as they stand there."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.strip().split(" ", 1) for line in lines)
