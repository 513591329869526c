"""A program of ours that root's python3 runs on the machine, spoken to line by line over SSH.

Nothing is installed there, and the two ends are always of one version: the text travels as the first line of input.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from hangar import paths
from hangar.cloud.base import Server
from hangar.errors import CommandFailed, MachineUnreachable
from hangar.process.conversation import Conversation, conversation
from hangar.ssh import call

BOOT = "import json,sys;exec(compile(json.loads(sys.stdin.readline()),'agent','exec'))"
"""What the machine's python3 is given as an argument; the program follows as the first line of its input."""

MODULE = """\
import sys, types
for name, text in {modules!r}:
    sys.modules[name] = module = types.ModuleType(name)
    module.__path__, module.__package__ = [], name if "." not in name else name.rpartition(".")[0]
    exec(compile(text, name, "exec"), module.__dict__)
exec(compile({agent!r}, "agent", "exec"))
"""


def program(package: str, beside: Sequence[tuple[str, Path]] = ()) -> str:
    """The agent of a package as `started` wants it, with what all agents share: the machine has no Hangar. `beside`
    are modules that this one needs too, by the names that it knows them by, each after those that it imports itself.
    """
    serving = files("hangar").joinpath("serving.py").read_text(encoding="utf-8")
    agent = files(package).joinpath("agent.py").read_text(encoding="utf-8")
    bounds = files("hangar").joinpath("bounds.py").read_text(encoding="utf-8")
    modules = [("hangar_bounds", bounds), ("hangar", ""), ("hangar.serving", serving)]
    modules += [(name, path.read_text(encoding="utf-8")) for name, path in beside]
    return json.dumps(MODULE.format(modules=modules, agent=agent))


@contextmanager
def on(
    server: Server, package: str, log: str, beside: Sequence[tuple[str, Path]] = ()
) -> Iterator[Conversation]:
    """A conversation with the package's agent on the machine, through SSH; `log` is a file among the environment's,
    `beside` as `program` has it.

    Raises:
        MachineUnreachable: the machine does not let us in.
    """
    argv = ssh_command(paths.ssh_config(server.environment), server.name)
    place = paths.log_dir(server.environment) / log
    with started(argv, program(package, beside), server.environment, server.name, place) as conversation:
        yield conversation


def ssh_command(ssh_config: Path, machine: str) -> list[str]:
    """Starts the agent as root on the machine."""
    return call.as_root(ssh_config, machine, ["python3", "-I", "-u", "-c", BOOT])


@contextmanager
def started(
    argv: Sequence[str], program: str, environment: str, machine: str, log: Path
) -> Iterator[Conversation]:
    """A conversation with the program (as a JSON string), which `argv` starts (`BOOT` with an interpreter before it).

    Raises:
        MachineUnreachable: it could not be started there.
    """
    with conversation(argv, log=log) as talk:
        try:
            talk.ask(program)
        except CommandFailed as error:
            raise call.unreachable(environment, machine, error.details) from error
        yield talk


class Talk:
    """Questions to the machine's end, each a line of JSON. `environment` and `machine` are for the words of errors."""

    def __init__(self, conversation: Conversation, environment: str, machine: str) -> None:
        self._conversation = conversation
        self._environment = environment
        self._machine = machine

    def ask(self, op: str, what: str, **request: Any) -> dict[str, Any]:
        """The answer (see `hangar.serving`): `ok`, or the `error` that the machine's end tells. `what` says in words
        what is asked.

        Raises:
            MachineUnreachable: the conversation broke off.
        """
        try:
            answer = self._conversation.ask(json.dumps({"op": op, **request}))
        except CommandFailed as error:
            raise MachineUnreachable(
                f"{self._machine} stopped answering ({what}).",
                error.details,
                f"See how it is: ./provision.py status {self._environment}\nThen run the same command again.",
            ) from error
        return dict(json.loads(answer))
