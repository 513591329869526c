"""A conversation with the machine's end (`agent`), and the errors that its refusals mean."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hangar import agents, paths
from hangar.errors import HangarError, LockHeld, MachineUnreachable
from hangar.process.conversation import Conversation

HERE = paths.REPO / "hangar/airbyte"
BESIDE = [
    ("hangar.airbyte", HERE / "__init__.py"), ("hangar.airbyte.remote", HERE / "remote/__init__.py"),
    *((f"hangar.airbyte.remote.{name}", HERE / f"remote/{name}.py")
      for name in ("files", "references", "ledger", "api")),
]  # fmt: skip
"""What the agent is made of, each after those that it imports itself."""


class AirbyteRefused(HangarError):
    """Airbyte answered with an error. `status` is HTTP's, `said` what it said."""

    def __init__(self, what: str, status: int, said: str, resolution: str = "") -> None:
        super().__init__(f"Airbyte refused {what}.", f"{said} (HTTP {status})", resolution)
        self.status = status
        self.said = said


class Session:
    """Requests to the agent. `environment` and `machine` are for the words of errors."""

    def __init__(self, conversation: Conversation, environment: str, machine: str) -> None:
        self._talk = agents.Talk(conversation, environment, machine)
        self._environment = environment
        self._machine = machine

    def ask(self, op: str, what: str, **request: Any) -> Any:
        """The agent's answer; `what` says in words what is asked, for the error.

        Raises:
            AirbyteRefused: Airbyte answered with an error.
            LockHeld: another apply is at work.
            MachineUnreachable: the machine or Airbyte on it does not answer.
            HangarError: the machine has no Airbyte, or a secret is not on it.
        """
        answer = self._talk.ask(op, what, **request)
        if "error" in answer:
            raise self._error(answer["error"], what)
        return answer["ok"]

    def _error(self, error: dict[str, Any], what: str) -> HangarError:
        text = str(error["text"])
        match error["kind"]:
            case "refused":
                return AirbyteRefused(what, int(error["status"]), text)
            case "secret":
                return missing_secret([(text, str(error["name"]))], self._environment)
            case "locked":
                return LockHeld(
                    f"The pipelines on {self._machine} are locked: {text} is at work.",
                    resolution="Wait for it.",
                )
            case "kept":
                return HangarError("The secret was not kept.", text)
            case "absent":
                return HangarError(
                    f"{self._machine} has no Airbyte.",
                    f"* Not there: {text}",
                    f"Have it installed: ./provision.py up {self._environment}",
                )
            case "unreachable":
                return MachineUnreachable(
                    f"Airbyte on {self._machine} does not answer ({what}).",
                    f"* {error.get('url', '')}: {text}",
                    f"See what it says: ./provision.py logs airbyte {self._environment}",
                )
            case "credentials":
                return HangarError(
                    f"Airbyte on {self._machine} does not know the machine's own client.",
                    text,
                    f"Have it mended: ./provision.py up {self._environment}",
                )
            case _:
                return HangarError(f"The machine's end of `pipelines` failed ({what}).", text)


def missing_secret(
    found: Sequence[tuple[str, str]], environment: str, *, elsewhere: bool = False
) -> HangarError:
    """The error for secrets that are not on the machine: (where it is named, its name). `elsewhere`: the machine reads
    them from Secret Manager.
    """
    names = sorted({name for _, name in found})
    count = "A secret is" if len(names) == 1 else f"{len(names)} secrets are"
    return HangarError(
        f"{count} not on the machine; nothing was changed.",
        "\n".join(f"{where}: names the secret {name}" for where, name in sorted(found)),
        f"Have the machine read it from Secret Manager: ./provision.py up {environment}"
        if elsewhere
        else "\n".join(
            f"Put it there: ./provision.py pipelines secret {environment} --name {name} < FILE"
            for name in names
        ),
    )


@contextmanager
def opened(argv: Sequence[str], environment: str, machine: str, log: Path) -> Iterator[Session]:
    """A session with an agent that `argv` starts (`agents.BOOT` with an interpreter before it).

    Raises:
        MachineUnreachable: it could not be started there.
    """
    with agents.started(
        argv, agents.program("hangar.airbyte", BESIDE), environment, machine, log
    ) as conversation:
        yield Session(conversation, environment, machine)
