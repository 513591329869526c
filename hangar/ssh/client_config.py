"""The SSH client configuration of an environment: .hangar/<env>/ssh_config, for `ssh`, tunnels and the login proof."""

import os
from collections.abc import Sequence
from pathlib import Path

from hangar import paths
from hangar.cloud.base import Server
from hangar.ssh import jump, proxy
from hangar.ssh.files import write_atomically
from hangar.ssh.login import Login
from hangar.ssh.quoting import quote, unquote

__all__ = [
    "forget_login", "is_operators", "knows", "knows_operator", "of", "quote", "read", "render", "unquote", "write",
    "write_login",
]  # fmt: skip

KEEP_ALIVE = 15
"""Seconds between two signs of life; after four without an answer a connection counts as dead."""


def write(server: Server, private_key: Path) -> Path:
    """Writes the environment's ssh_config and returns its path."""
    path = paths.ssh_config(server.environment)
    write_atomically(path, render(server, private_key))
    return path


def write_login(server: Server, login: Login) -> Path:
    """Writes the ssh_config of somebody who is not the operator, and returns its path."""
    path = _of_login(server.environment)
    write_atomically(path, render(server, Path(login.key), login))
    return path


def of(env: str) -> Path:
    """The configuration that people's own commands (ssh, tunnel, doctor) use here; it may not be there."""
    path = _of_login(env)
    return path if path.exists() else paths.ssh_config(env)


def knows(env: str) -> bool:
    """Whether people's own commands can log in by what was written here. What names the files of a checkout that was
    moved since is written anew.
    """
    return _is_of_here(of(env), env)


def knows_operator(env: str) -> bool:
    """The same for Hangar's own calls, which log in as the operator."""
    return _is_of_here(paths.ssh_config(env), env)


def _is_of_here(path: Path, env: str) -> bool:
    return path.exists() and read(path).get("UserKnownHostsFile") == quote(paths.known_hosts(env))


def is_operators(env: str) -> bool:
    """Whether people's own commands log in here as the operator."""
    return not _of_login(env).exists()


def forget_login(env: str) -> None:
    _of_login(env).unlink(missing_ok=True)


def _of_login(env: str) -> Path:
    return paths.state_dir(env) / "ssh_config.login"


def render(
    server: Server,
    private_key: Path,
    login: Login | None = None,
    *,
    known_hosts: str = "",
    more: Sequence[str] = (),
    windows: bool = os.name == "nt",
) -> str:
    """One Host block, with `more` lines at its end; `login` stands in for the operator. No shared connection for
    Hangar's own calls: a login proof must be a new one.
    """
    lines = [
        f"Host {server.name}",
        f"HostName {server.address}",
        f"Port {server.port}",
        f"User {login.user if login else server.admin}",
        f"IdentityFile {quote(Path(login.key) if login else private_key)}",
        "IdentitiesOnly yes",
        f"HostKeyAlias {server.name}",
        f"UserKnownHostsFile {known_hosts or quote(paths.known_hosts(server.environment))}",
        "GlobalKnownHostsFile /dev/null",
        "StrictHostKeyChecking yes",
        "UpdateHostKeys no",
        "PasswordAuthentication no",
        "KbdInteractiveAuthentication no",
        "ForwardAgent no",
        f"ServerAliveInterval {KEEP_ALIVE}",
        "ServerAliveCountMax 4",
    ]
    way = _way(server, login, known_hosts)
    if way:
        lines.append(f"ProxyCommand {proxy.text(way, windows=windows)}")
    elif login and login.jump:
        lines.append(f"ProxyJump {login.jump}")
    return "\n  ".join([*lines, *more]) + "\n"


def _way(server: Server, login: Login | None, known_hosts: str) -> tuple[str, ...]:
    """Somebody of the team passes the jump host of platform.yml by their own name and key, or another host that they
    said; everybody passes what else leads to the machine.
    """
    if login is None or server.jump is None:
        return server.proxy_command
    if login.jump:
        return ()
    return jump.command(server, server.jump, login.user, Path(login.key), known_hosts)


def read(path: Path) -> dict[str, str]:
    """The options that `render` wrote, by their names, as they stand there."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.strip().partition(" ")[::2] for line in lines)
