"""A secret is made anew: its steps in their order, and the proof that the old one opens nothing any more."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hangar import agents
from hangar.airbyte import stage
from hangar.airbyte.load import Declared
from hangar.cloud.base import Server
from hangar.config import Config
from hangar.elt import machine as elt
from hangar.errors import HangarError, PromiseBroken
from hangar.process.conversation import Conversation
from hangar.progress import Counting
from hangar.rotation.catalogue import Secret, Step

QUIET = 1800.0
"""Seconds that tasks get to come to their end by themselves."""

BETWEEN_LOOKS = 1.0
AT_WORK = "/api/v2/dags/~/dagRuns/~/taskInstances?state=running&state=queued&state=restarting&limit=5"


class Machine:
    """The machine's end of `rotate`."""

    def __init__(self, conversation: Conversation, server: Server) -> None:
        self._talk = agents.Talk(conversation, server.environment, server.name)

    def ask(self, op: str, what: str, again: str, **request: Any) -> Any:
        """The answer; `again` is the command that goes on from a failure."""
        answer = self._talk.ask(op, what, **request)
        if "error" not in answer:
            return answer["ok"]
        text = str(answer["error"]["text"])
        raise HangarError(f"The rotation stopped ({what}).", text, f"It goes on from there: {again}")


@contextmanager
def connected(server: Server) -> Iterator[Machine]:
    """The machine, through SSH.

    Raises:
        MachineUnreachable: the machine does not let us in.
    """
    with agents.on(server, "hangar.rotation", "rotate.log") as conversation:
        yield Machine(conversation, server)


def rotate(
    secret: Secret, server: Server, config: Config, declared: Declared | None, report: Counting, *, now: bool
) -> bool:
    """Makes the secret anew and proves it. With `now`, tasks that run are not waited for. False where there was no old
    one to try: it was not there, or nothing could be asked for one.

    Raises:
        HangarError: a step failed, or tasks do not end; the same command goes on from there.
        PromiseBroken: the new secret does not open, or the old one still does.
        MachineUnreachable: the machine does not answer.
    """
    again = f"./provision.py rotate {secret.name} {server.environment}"
    with connected(server) as machine:
        work = _Rotation(machine, server, config, declared, report, again, now)
        machine.ask("remember", "to read the secret", again, proof=dict(secret.proof))
        for number, step in enumerate(secret.steps, 1):
            report(step.words, number, len(secret.steps))
            work.take(step)
        report("try the old one and the new one", None, None)
        found = machine.ask("prove", "to try both", again, proof=dict(secret.proof))
    _judge(secret, found, again)
    return bool(found["tried"])


@dataclass(frozen=True)
class _Rotation:
    """One rotation of one secret; `again` is the command that goes on from a failure."""

    machine: Machine
    server: Server
    config: Config
    declared: Declared | None
    report: Counting
    again: str
    now: bool

    def take(self, step: Step) -> None:
        if step.kind == "run":
            self.machine.ask("run", f"to {step.words}", self.again, argv=list(step.run))
        elif step.kind == "quiet" and not self.now:
            _wait(self.server, self.config, self.report, self.again)
        elif step.kind == "pipelines" and self.declared is not None:
            with stage.connected(self.server) as airbyte:
                stage.ensure(
                    airbyte, self.server.environment, self.declared, self.report, stage.require_consent
                )


def _wait(server: Server, config: Config, report: Counting, again: str) -> None:
    """Returns when no task runs: a restart would end it, and its DAG may not allow another try."""
    deadline, told = time.monotonic() + QUIET, ""
    with elt.connected(server, config) as airflow:
        while tasks := airflow.airflow("GET", AT_WORK, "for tasks at work")["task_instances"]:
            named = ", ".join(f"{task['dag_id']}.{task['task_id']}" for task in tasks)
            if named != told:
                report(f"wait for {named}", None, None)
                told = named
            if time.monotonic() > deadline:
                raise HangarError(
                    f"Tasks still run after {QUIET / 60:g} minutes; a restart would end them.", f"* {named}",
                    f"Wait for them, then: {again}\nOr end them, to be tried again as their DAGs say: {again} --now",
                )  # fmt: skip
            time.sleep(BETWEEN_LOOKS)


def _judge(secret: Secret, found: dict[str, bool], again: str) -> None:
    wrong = [
        words
        for is_so, words in (
            (not found["changed"], "it is the same as before"),
            (not found["new"], "the new one is refused"),
            (found["old"], "the old one is still let in"),
        )
        if is_so
    ]
    if wrong:
        raise PromiseBroken(
            f"{secret.name} was made anew, but {'; '.join(wrong)}.", resolution=f"Try: {again}"
        )
