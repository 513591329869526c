"""The connection that several sessions share: its socket in ~/.ssh, and what may be asked of it."""

from collections.abc import Iterable
from pathlib import Path

from hangar import process
from hangar.ssh.quoting import quote

KEEP = "10m"
"""How long it stays after the last session, so that the next begins at once."""

LONGEST = 103
"""A socket's path on macOS, without its closing zero; Linux allows four more."""

SUFFIX = 17
"""What ssh adds to the path for a moment, while it makes the socket."""


def socket(env: str) -> Path:
    return Path.home() / ".ssh" / f"hangar-{env}.sock"


def lines(env: str) -> list[str]:
    """The settings for it; none where the path would be too long for a socket."""
    path = socket(env)
    if len(str(path)) + SUFFIX > LONGEST or any(char.isspace() for char in str(path)):
        return []
    return ["ControlMaster auto", f"ControlPath {quote(path)}", f"ControlPersist {KEEP}"]


def is_alive(env: str) -> bool:
    return socket(env).exists() and _ask(env, "check")


def release(env: str, forwards: Iterable[tuple[int, int]]) -> None:
    """Lets go of forwards, local port and remote one, so that somebody else can have the ports."""
    if is_alive(env):
        for local, remote in forwards:
            _ask(env, "cancel", f"-L127.0.0.1:{local}:127.0.0.1:{remote}")


def close(env: str) -> bool:
    """Ends it, and every session in it; returns whether there was one."""
    alive = is_alive(env) and _ask(env, "exit")
    socket(env).unlink(missing_ok=True)
    return alive


def _ask(env: str, what: str, *options: str) -> bool:
    argv = ["ssh", "-F", "/dev/null", "-S", str(socket(env)), "-O", what, *options, f"hangar-{env}"]
    return process.run(argv, check=False).returncode == 0
