"""A program of ours that root's python3 runs on the machine, spoken to line by line over SSH.

Nothing is installed there, and the two ends are always of one version: the text travels as the first line of input.
"""

import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hangar import process
from hangar.errors import CommandFailed, MachineUnreachable

BOOT = "import json,sys;exec(compile(json.loads(sys.stdin.readline()),'agent','exec'))"
"""What the machine's python3 is given as an argument; the program follows as the first line of its input."""


def ssh_command(ssh_config: Path, machine: str) -> list[str]:
    """Starts the agent as root on the machine."""
    program = shlex.join(["sudo", "-n", "python3", "-I", "-u", "-c", BOOT])
    options = ["-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15"]
    return ["ssh", "-F", str(ssh_config), *options, machine, program]


@contextmanager
def started(
    argv: Sequence[str], program: str, environment: str, machine: str, log: Path
) -> Iterator[process.Conversation]:
    """A conversation with the program (as a JSON string), which `argv` starts (`BOOT` with an interpreter before it).

    Raises:
        MachineUnreachable: it could not be started there.
    """
    with process.conversation(argv, log=log) as conversation:
        try:
            conversation.ask(program)
        except CommandFailed as error:
            raise MachineUnreachable(
                f"{machine} cannot be spoken to.",
                error.details,
                f"See whether it can be reached: ./provision.py ssh {environment}",
            ) from error
        yield conversation


def silent(error: CommandFailed, what: str, environment: str, machine: str) -> MachineUnreachable:
    """The error for a conversation that broke off while something was asked."""
    return MachineUnreachable(
        f"{machine} stopped answering ({what}).",
        error.details,
        f"See how it is: ./provision.py status {environment}\nThen run the same command again.",
    )
