"""Background SSH forwards from this computer's loopback to the machine's, kept open by one process an environment."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path

from hangar import paths, process
from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.machine import PAGES
from hangar.ports import LOOPBACK, is_free
from hangar.process.unattended import heralded
from hangar.ssh import client_config, keeper, shared
from hangar.ssh.files import write_atomically
from hangar.ssh.sockets import socket_folder, tidy

CONNECT_TIMEOUT = 15
"""Seconds that the log-in may take."""

SIGN_OF_LIFE = 5
MISSING_SIGNS = 3
"""Seconds between two signs of life, and how many may stay away: then the tunnel is opened anew."""


@dataclass(frozen=True)
class Forward:
    """A service of the machine and where it is on this computer; both ends are loopback ports."""

    name: str
    remote: int
    local: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.local}"

    @property
    def page(self) -> str:
        """For a browser: cookies do not tell ports apart, and one service's log-in would end the other's. Browsers
        know every name under `localhost` to be this computer.
        """
        return f"http://{self.name}.localhost:{self.local}{PAGES.get(self.name, '')}"

    @property
    def moved(self) -> bool:
        """Whether the usual port was taken here."""
        return self.local != self.remote


def ensure(server: Server, services: Mapping[str, int]) -> tuple[Forward, ...]:
    """Opens forwards to the machine's `services` (name → port), or keeps those that are open and right.

    A service gets the same port here, or the next free one when that is taken.

    Raises:
        HangarError: SSH could not open them.
    """
    forwards = current(server.environment)
    wanted = sorted(services.items())
    if forwards and sorted((f.name, f.remote) for f in forwards) == wanted and _machine(server) == server.id:
        return forwards
    before = _recorded(server.environment)
    stop(server.environment)
    # A session of the user's own may hold the same forwards; it goes on without them.
    shared.release(server.environment, [(forward.local, forward.remote) for forward in before])
    forwards = _choose(wanted, before)
    _open(server, forwards)
    _remember(server, forwards)
    return forwards


def planned(server: Server, services: Mapping[str, int]) -> tuple[Forward, ...]:
    """The forwards as they are, or as they would be: for an ssh_config that opens them itself. They are remembered,
    so that they stay the same while nobody else takes the ports.
    """
    env = server.environment
    before = _recorded(env)
    is_ours = is_alive(env) or shared.is_alive(env)
    held = frozenset(forward.local for forward in before) if is_ours else frozenset[int]()
    forwards = _choose(sorted(services.items()), before, held)
    if not is_alive(env):
        _remember(server, forwards)
    return forwards


def current(env: str) -> tuple[Forward, ...]:
    """The forwards that are open now."""
    return _recorded(env) if is_alive(env) else ()


def is_alive(env: str) -> bool:
    return control(env).exists() and _command(env, "check")


def stop(env: str) -> bool:
    """Closes the environment's forwards; returns whether there were any. Its record stays: the same ports next time."""
    keeper.owner(control(env)).unlink(missing_ok=True)
    alive = is_alive(env) and _command(env, "exit")
    control(env).unlink(missing_ok=True)
    tidy()
    return alive


def control(env: str) -> Path:
    """The socket of the process that holds the forwards."""
    return socket_folder() / f"tunnel-{env}"


def check_command(env: str) -> str:
    """A shell command that succeeds while the forwards are open, for conditions in an ssh_config."""
    return f"ssh -F /dev/null -S {control(env)} -O check hangar 2>/dev/null"


def _command(env: str, name: str) -> bool:
    argv = ["ssh", "-F", "/dev/null", "-S", str(control(env)), "-O", name, f"hangar-{env}"]
    return process.run(argv, check=False).returncode == 0


def _choose(
    services: list[tuple[str, int]], before: tuple[Forward, ...], held: frozenset[int] = frozenset()
) -> tuple[Forward, ...]:
    """A place here for each service; `held` are ports that are taken, but by ourselves."""
    last = {forward.name: forward.local for forward in before}
    taken: set[int] = set()
    forwards = []
    for name, remote in services:
        local = next(port for port in _candidates(remote, last.get(name), held) if port not in taken)
        taken.add(local)
        forwards.append(Forward(name, remote, local))
    return tuple(forwards)


def _candidates(remote: int, before: int | None, held: frozenset[int]) -> Iterator[int]:
    """The service's own port, the one that it had last time, and then the next ones, as far as they are free."""
    wanted = chain([remote], [before] if before else [], range(remote + 1, min(remote + 1000, 65536)))
    for port in wanted:
        if port in held or is_free(port):
            yield port
    raise HangarError(f"No port from {remote} on is free on {LOOPBACK}.")


def _open(server: Server, forwards: tuple[Forward, ...]) -> None:
    env = server.environment
    log = paths.log_dir(env) / "tunnel.log"
    argv = [
        "ssh", "-F", str(client_config.of(env)), "-N", "-M", "-S", str(control(env)),
        "-o", "ControlPersist=no", "-o", "ExitOnForwardFailure=yes", "-o", "BatchMode=yes",
        "-o", f"ConnectTimeout={CONNECT_TIMEOUT}",
        "-o", f"ServerAliveInterval={SIGN_OF_LIFE}", "-o", f"ServerAliveCountMax={MISSING_SIGNS}",
        *(f"-L{LOOPBACK}:{forward.local}:{LOOPBACK}:{forward.remote}" for forward in forwards),
        server.name,
    ]  # fmt: skip
    python = ["env", f"PYTHONPATH={Path(keeper.__file__).parents[2]}", sys.executable]
    kept = [*python, "-m", "hangar.ssh.keeper", str(control(env)), *argv]
    if not heralded(kept, log=log, timeout=CONNECT_TIMEOUT * 2):
        stop(env)
        said = log.read_text(encoding="utf-8", errors="replace").strip()
        raise HangarError(
            f"The forwards to {server.name} could not be opened.",
            f"{process.describe(argv)}\n{said}",
            f"See what is in the way: ./provision.py doctor {env}",
        )


def _remember(server: Server, forwards: tuple[Forward, ...]) -> None:
    record = {"machine": server.id, "forwards": [asdict(forward) for forward in forwards]}
    paths.ensure_state_dir(server.environment)
    write_atomically(_record(server.environment), json.dumps(record, indent=2) + "\n")


def _machine(server: Server) -> str:
    return str(_read(server.environment).get("machine", ""))


def _recorded(env: str) -> tuple[Forward, ...]:
    found = _read(env).get("forwards")
    return tuple(Forward(**forward) for forward in found) if isinstance(found, list) else ()


def _read(env: str) -> dict[str, object]:
    """A record that cannot be read (after a power cut, say) is none: other ports are chosen."""
    try:
        return dict(json.loads(_record(env).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):
        return {}


def _record(env: str) -> Path:
    return paths.state_dir(env) / "tunnel.json"
