"""Pipelines as one stage: from the files to an Airbyte that matches. The verb `pipelines` and `up` call it."""

import getpass
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from hangar import agents, paths
from hangar.airbyte import apply, checks, planning, session
from hangar.airbyte.client import Client
from hangar.airbyte.load import Declared
from hangar.airbyte.records import Step, World
from hangar.airbyte.wanted import wanted
from hangar.cloud.base import Server
from hangar.console import confirm
from hangar.errors import HangarError
from hangar.progress import Counting


@contextmanager
def connected(server: Server) -> Iterator[Client]:
    """Airbyte on a machine, through SSH.

    Raises:
        MachineUnreachable: the machine does not let us in.
    """
    argv = agents.ssh_command(paths.ssh_config(server.environment), server.name)
    log = paths.log_dir(server.environment) / "pipelines.log"
    with session.opened(argv, server.environment, server.name, log) as opened:
        yield Client(opened)


def look(airbyte: Client, environment: str, declared: Declared) -> tuple[Step, ...]:
    """What `ensure` would do; changes nothing."""
    airbyte.open(declared.workspace)
    return _compare(airbyte, environment, declared)[1]


def ensure(
    airbyte: Client,
    environment: str,
    declared: Declared,
    report: Counting,
    agree: Callable[[Sequence[Step]], None],
) -> tuple[Step, ...]:
    """Makes Airbyte match what is declared; checks before it changes anything. `agree` sees the steps and may refuse.

    Raises:
        ConfigError: Airbyte would refuse what is declared; nothing was changed.
        LockHeld: another apply is at work.
        HangarError: a secret is missing, something stands in the way, or a step failed; the next call goes on.
    """
    airbyte.open(declared.workspace, who=_who(environment))
    checks.remove_leftovers(airbyte.world(), airbyte)
    world, steps = _compare(airbyte, environment, declared)
    agree(steps)
    if any(step.action != "nothing" for step in steps):
        checks.require_workable(steps, airbyte, lambda what: report(what, None, None))
        apply.apply(steps, world, airbyte, report)
    return steps


def require_consent(steps: Sequence[Step]) -> None:
    """Asks before something is removed or taken over.

    Raises:
        HangarError: the answer was no; nothing was changed.
        NeedsAnswer: nobody is there to answer.
    """
    going = [f"{step.kind} {step.name}" for step in steps if step.action in ("delete", "replace")]
    adopted = [f"{step.kind} {step.name}" for step in steps if step.action == "adopt"]
    questions = []
    if going:
        questions.append(
            f"Remove {', '.join(going)}? The data that was moved stays; what was synced last is"
            f" forgotten{_twice(steps)}."
        )
    if adopted:
        questions.append(
            f"Take over {', '.join(adopted)}? It was not made from the files; they decide from now on."
        )
    if not all(confirm(question) for question in questions):
        raise HangarError("Airbyte was left as it is.")


def _twice(steps: Sequence[Step]) -> str:
    """What comes of it where rows are appended, and a connection is made that may be the old one's successor."""
    made = any(step.kind == "connection" and step.action in ("create", "replace") for step in steps)
    appends = any(
        step.kind == "connection" and step.found and "incremental_append" in step.found.fields.values()
        for step in steps
        if step.action in ("delete", "replace")
    )
    return ", and a connection in its place appends every row once more" if made and appends else ""


def _compare(airbyte: Client, environment: str, declared: Declared) -> tuple[World, tuple[Step, ...]]:
    world, found = airbyte.world(), wanted(declared)
    states = airbyte.secrets(found)
    missing = [
        (f"{one.kind}s.{one.name}.{field}", name)
        for one in found
        for field, name in one.references.items()
        if states[one.key][field] == "missing"
    ]
    if missing:
        raise session.missing_secret(missing, environment, elsewhere=declared.secrets_elsewhere)
    return world, planning.plan(found, world, states)


def _who(environment: str) -> str:
    place = f"{getpass.getuser()}@{socket.gethostname()}"
    return f"`provision.py pipelines apply {environment}` ({place}, since {time.strftime('%H:%M:%S')})"
