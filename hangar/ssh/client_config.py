"""The SSH client configuration of an environment: .hangar/<env>/ssh_config, for `ssh`, tunnels and editors."""

import os
from pathlib import Path

from hangar import paths
from hangar.cloud.base import Server
from hangar.ssh.files import write_atomically

KEEP_ALIVE = 30
"""Seconds between two signs of life; after three without an answer a connection counts as dead."""


def write(server: Server, private_key: Path) -> Path:
    """Writes the environment's ssh_config and returns its path."""
    path = paths.ssh_config(server.environment)
    write_atomically(path, render(server, private_key))
    return path


def render(server: Server, private_key: Path, control: str | None = None) -> str:
    """One Host block. `control` is the path of the shared connection's socket."""
    lines = [
        f"Host {server.name}",
        f"  HostName {server.address}",
        f"  Port {server.port}",
        f"  User {server.admin}",
        f"  IdentityFile {quote(private_key)}",
        "  IdentitiesOnly yes",
        f"  HostKeyAlias {server.name}",
        f"  UserKnownHostsFile {quote(paths.known_hosts(server.environment))}",
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  UpdateHostKeys no",
        "  PasswordAuthentication no",
        "  KbdInteractiveAuthentication no",
        "  ForwardAgent no",
        f"  ServerAliveInterval {KEEP_ALIVE}",
        "  ServerAliveCountMax 3",
        "  ControlMaster auto",
        f"  ControlPath {quote(Path(control or control_path()))}",
        "  ControlPersist 60",
    ]
    return "\n".join(lines) + "\n"


def control_path() -> str:
    """Where shared connections have their sockets: a short path, since a socket's may have 108 characters only."""
    return str(control_dir() / "%C")


def control_dir() -> Path:
    """A folder of the user's own for sockets; made if need be."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    folder = Path(runtime, "hangar") if runtime and Path(runtime).is_dir() else Path(f"/tmp/hangar-{os.getuid()}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    require_own(folder)
    return folder


def require_own(folder: Path) -> None:
    """Refuses a folder that another account made first: whoever owns it could offer a socket of theirs."""
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.getuid():
        raise PermissionError(f"{folder} belongs to another account; remove it or set XDG_RUNTIME_DIR")
    folder.chmod(0o700)


def quote(path: Path) -> str:
    """A path as ssh_config takes it: in double quotes where it holds blanks."""
    text = str(path)
    return f'"{text}"' if any(char.isspace() for char in text) else text
