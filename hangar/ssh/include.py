"""Lets ssh and editors know a machine: one file in ~/.ssh/config.d, and one Include line in ~/.ssh/config."""

import contextlib
import difflib
from collections.abc import Callable, Sequence
from pathlib import Path

from hangar.cloud.base import Server
from hangar.ssh import tunnel
from hangar.ssh.client_config import render
from hangar.ssh.files import write_atomically

INCLUDE = "Include ~/.ssh/config.d/hangar-*"
HEADER = "# Written by `./provision.py ssh-config`; changes are lost. Remove it with `--remove`.\n"

Ask = Callable[[str], bool]


def folder() -> Path:
    return Path.home() / ".ssh"


def include_file(env: str) -> Path:
    return folder() / "config.d" / f"hangar-{env}"


def write(server: Server, private_key: Path, forwards: Sequence[tunnel.Forward]) -> bool:
    """Writes the machine's include file; returns whether it changed."""
    folder().mkdir(mode=0o700, exist_ok=True)
    return write_atomically(include_file(server.environment), text(server, private_key, forwards))


def text(server: Server, private_key: Path, forwards: Sequence[tunnel.Forward]) -> str:
    """The machine's Host block, and the forwards for sessions that find none open in the background."""
    block = render(server, private_key)
    if not forwards:
        return HEADER + block
    lines = [f"LocalForward 127.0.0.1:{forward.local} 127.0.0.1:{forward.remote}" for forward in forwards]
    condition = f'Match originalhost {server.name} exec "! {tunnel.check_command(server.environment)}"'
    return HEADER + block + "\n  ".join([condition, *lines]) + "\n"


def remove(env: str) -> list[str]:
    """Takes back what `ssh-config` wrote for an environment; the Include line goes with the last of them."""
    removed = []
    path = include_file(env)
    if path.exists():
        path.unlink()
        removed.append(str(path))
    config = folder() / "config"
    if config.exists() and not any(path.parent.glob("hangar-*")):
        before = config.read_text(encoding="utf-8")
        after = without_include(before)
        if after != before:
            accept(after)
            removed.append(f"the Include line in {config}")
    _remove_if_empty(config, path.parent)
    return removed


def _remove_if_empty(config: Path, parts: Path) -> None:
    """What we made and nobody else has used."""
    if config.is_file() and not config.is_symlink() and config.stat().st_size == 0:
        config.unlink()
    with contextlib.suppress(OSError):  # others keep files there, or it never was
        parts.rmdir()


def is_included() -> bool:
    config = folder() / "config"
    return config.exists() and INCLUDE in config.read_text(encoding="utf-8").splitlines()


def proposal() -> tuple[str, str]:
    """~/.ssh/config with the Include line, and the difference to what it is now."""
    config = folder() / "config"
    before = config.read_text(encoding="utf-8") if config.exists() else ""
    after = with_include(before)
    lines = difflib.unified_diff(
        before.splitlines(), after.splitlines(), str(config), f"{config} (new)", lineterm="", n=1
    )
    return after, "\n".join(lines)


def accept(after: str) -> None:
    """Writes ~/.ssh/config; a link to a file kept elsewhere stays a link."""
    config = folder() / "config"
    folder().mkdir(mode=0o700, exist_ok=True)
    mode = config.stat().st_mode & 0o777 if config.exists() else 0o600
    write_atomically(config.resolve(), after, mode)


def with_include(before: str) -> str:
    """The Include line first: after a Host line it would hold for that host only."""
    if INCLUDE in before.splitlines():
        return before
    return f"{INCLUDE}\n\n{before}" if before else f"{INCLUDE}\n"


def without_include(before: str) -> str:
    if before.startswith(f"{INCLUDE}\n\n"):
        return before.removeprefix(f"{INCLUDE}\n\n")
    return "".join(line for line in before.splitlines(keepends=True) if line.rstrip("\n") != INCLUDE)
