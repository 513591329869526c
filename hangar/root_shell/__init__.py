"""A backend of testinfra's that keeps one root shell open on the machine: ``--hosts=root-shell://NAME --sudo``.

testinfra's own logs in for every command, and asks sudo for every command: four processes here, a session and two lines
of the journal there. Six hundred commands of the contracts spent most of their time on that.
"""

import base64
import json
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from testinfra.backend import BACKENDS
from testinfra.backend.base import BaseBackend, CommandResult

from hangar import agents
from hangar.errors import CommandFailed
from hangar.process.conversation import Conversation

NAME = "root-shell"

SECONDS = 900.0
"""For one command of a contract. The slowest there is waits for its own condition for ten minutes at most."""


def register() -> None:
    """Lets `--hosts` name it."""
    BACKENDS[NAME] = f"{__name__}.Backend"


class Backend(BaseBackend):  # type: ignore[misc]  # testinfra has no types
    """Commands on a machine that `ssh` knows by this name, through one connection that opens with the first of them."""

    NAME = NAME

    def __init__(self, host: str, ssh_config: str, **options: Any) -> None:
        super().__init__(host, **options)
        self._argv = agents.ssh_command(Path(ssh_config), host)
        self._environment = host.removeprefix("hangar-")
        self._open = ExitStack()
        self._conversation: Conversation | None = None

    def get_sudo_command(self, command: str, sudo_user: str | None) -> str:
        """The shell is root's already."""
        return command if sudo_user is None else str(super().get_sudo_command(command, sudo_user))

    def run(self, command: str, *args: str, **_: Any) -> CommandResult:
        """How the command ended, and what it wrote.

        Raises:
            RuntimeError: the connection broke, and the next command opens a new one; or the command took too long.
        """
        line = self.get_command(command, *args)
        if not self.sudo:
            raise RuntimeError("a root shell runs everything as root: --sudo says that this is meant")
        request = {"op": "run", "command": line, "seconds": SECONDS}
        try:
            answer = json.loads(self._talk().ask(json.dumps(request)))
        except CommandFailed as error:
            self._hang_up()
            raise RuntimeError(f"the machine stopped answering: {error.details}") from error
        if "error" in answer:
            raise RuntimeError(answer["error"]["text"])
        done = answer["ok"]
        out, err = (base64.b64decode(done[name]) for name in ("out", "err"))
        return self.result(done["status"], line.encode(), out, err)

    def _talk(self) -> Conversation:
        if self._conversation is None:
            folder = self._open.enter_context(tempfile.TemporaryDirectory(prefix="hangar-"))
            program = agents.program("hangar.root_shell")
            self._conversation = self._open.enter_context(
                agents.started(self._argv, program, self._environment, self.hostname, Path(folder) / "errors")
            )
        return self._conversation

    def _hang_up(self) -> None:
        self._conversation = None
        self._open.close()
