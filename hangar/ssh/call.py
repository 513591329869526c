"""One command on a machine, by the environment's own client configuration."""

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hangar import paths, process
from hangar.errors import CommandFailed, HangarError, MachineUnreachable

if TYPE_CHECKING:
    from hangar.cloud.base import Server

NO_LOGIN = 255
"""How ssh itself ends when it did not get in; every other status is the command's."""

CONNECT = 15
"""Seconds for the way to sshd: a host that swallows what is sent keeps the kernel trying for two minutes."""

PENALTY = "Not allowed at this time"
"""How sshd (9.8 and newer) turns away an address whose logins failed, by PerSourcePenalties, before its name."""

TOO_MANY = "Exceeded MaxStartups"
"""The same where too many logins are under way."""


def argv(server: "Server", command: str) -> list[str]:
    """Runs a shell command there. Asks nobody anything: what would ask fails."""
    return [
        "ssh",
        "-F",
        str(paths.ssh_config(server.environment)),
        "-o",
        "BatchMode=yes",
        server.name,
        command,
    ]


def as_root(ssh_config: Path, machine: str, words: Sequence[str]) -> list[str]:
    """Runs a program there as root, without a terminal. Asks nobody anything."""
    options = ["-T", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}"]
    return ["ssh", "-F", str(ssh_config), *options, machine, shlex.join(["sudo", "-n", *words])]


def ask(environment: str, words: Sequence[str], *, seconds: float, input: str = "") -> process.Completed:
    """A program of the machine's, run as root to its end, whatever that is.

    Raises:
        MachineUnreachable: we did not get in, or the program was not at its end in so many seconds.
        CommandFailed: it said more than is taken in.
    """
    machine = f"hangar-{environment}"
    command = as_root(paths.ssh_config(environment), machine, words)
    try:
        done = process.bounded(command, input=input, timeout=seconds, check=False)
    except CommandFailed as error:
        if not isinstance(error.__cause__, TimeoutError):
            raise
        raise unreachable(environment, machine, error.brief) from error
    if done.returncode == NO_LOGIN:
        raise unreachable(environment, machine, done.stderr.strip())
    return done


def data(environment: str, done: process.Completed) -> Any:
    """What a program of the machine's has answered in JSON.

    Raises:
        HangarError: it is none. A line that the account's start-up files print at each login is enough for that.
    """
    try:
        return json.loads(done.stdout)
    except (ValueError, RecursionError) as error:
        raise HangarError(
            f"hangar-{environment} answers, but not as its programs do.",
            f"* {error}\n* It begins with: {done.stdout.strip()[:200]!r}",
            f"See what a login prints by itself, and have it print nothing: ./provision.py ssh {environment} true\n"
            f"Where that is nothing, have its programs mended: ./provision.py up {environment}",
        ) from None


def unreachable(environment: str, machine: str, said: str) -> MachineUnreachable:
    """The error for a machine that lets nobody in; `said` is what ssh said of it."""
    return MachineUnreachable(
        f"{machine} cannot be spoken to.", said,
        f"See whether it can be reached: ./provision.py ssh {environment}",
    )  # fmt: skip
