"""A conversation with the machine's end (`agent`) in the words of the records."""

from contextlib import ExitStack
from types import TracebackType
from typing import Any

from hangar import agents, paths
from hangar.cloud.base import Server
from hangar.errors import HangarError, MachineUnreachable
from hangar.upgrade.records import Cut, Facts, Item, Platform, Service

ROLES = paths.REPO / "roles"
DRAINING = ROLES / "maintenance/templates/usr/local/lib/hangar/hangar_maintenance"
RESTORING = ROLES / "backup/templates/usr/local/lib/hangar/hangar_backup"
HERE = paths.REPO / "hangar/upgrade"
BESIDE = [
    ("hangar_maintenance", DRAINING / "__init__.py"),
    *((f"hangar_maintenance.{name}", DRAINING / f"{name}.py")
      for name in ("airflow", "figures", "draining", "images", "renewal", "program")),
    ("hangar_files", paths.REPO / "playbooks/plugins/module_utils/hangar_files.py"),
    ("hangar_words", ROLES / "interlock/templates/usr/local/lib/hangar/hangar_words.py"),
    ("hangar_backup", RESTORING / "__init__.py"),
    *((f"hangar_backup.{name}", RESTORING / f"{name}.py")
      for name in ("described", "running", "inside", "databases", "standing_in")),
    ("hangar.upgrade", HERE / "__init__.py"), ("hangar.upgrade.remote", HERE / "remote/__init__.py"),
    *((f"hangar.upgrade.remote.{name}", HERE / f"remote/{name}.py")
      for name in ("running", "keeping", "prints", "looking")),
]  # fmt: skip
"""What the agent needs beside it, draining and restoring included: both ends have to be of one version."""

HOLD = 1800
"""Seconds that an upgrade may be away from the machine (a call that was killed) before tasks begin again there."""

PATIENCE = 300.0
"""Seconds for an Airflow that has just started to answer."""


class Refused(HangarError):
    """The machine did not do what it was asked."""


class Machine:
    """The machine of an environment. A conversation that breaks off is begun anew with the next question."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._open = ExitStack()
        self._talk: agents.Talk | None = None

    def __enter__(self) -> "Machine":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._hang_up()

    def look(self) -> Facts:
        """What it has."""
        return facts(self._ask("look", "what it has"))

    def drain(self, *, again: bool = False) -> None:
        """No task begins from now on, until `release`, a start of the machine, or `HOLD` after we are gone. `again`: an
        earlier call has seen to it already.
        """
        self._ask("drain", "to let no task begin", hold=HOLD, again=again)

    def busy(self) -> list[str]:
        """What still runs."""
        return list(self._ask("busy", "what still runs"))

    def keep(self, broken: list[str]) -> None:
        """It keeps what it may have to go back to, and which promises did not hold."""
        self._ask("keep", "to keep what is there", broken=broken)

    def packages(self, docker: list[str]) -> tuple[Item, ...]:
        """Debian's packages are upgraded; returns which. Daemons start anew where one of `docker` is among them."""
        done = self._ask("packages", "to upgrade Debian's packages", docker=docker)
        return tuple(Item(*one) for one in done)

    def undo(self) -> list[str]:
        """What was kept is put back; returns what was done, in words."""
        return list(self._ask("undo", "to go back"))

    def release(self) -> None:
        """Tasks begin again."""
        self._ask("release", "to let tasks begin again", patience=PATIENCE)

    def done(self) -> None:
        """What was kept is needed no more."""
        self._ask("done", "to forget what was kept")

    def _ask(self, op: str, what: str, **request: Any) -> Any:
        try:
            answer = self._connected().ask(op, what, **request)
        except MachineUnreachable:
            self._hang_up()
            raise
        if "error" not in answer:
            return answer["ok"]
        raise Refused(
            f"{self._server.name} was asked {what}, and could not.", str(answer["error"]["text"]),
            f"See how it is: ./provision.py status {self._server.environment}",
        )  # fmt: skip

    def _connected(self) -> agents.Talk:
        if self._talk is None:
            server = self._server
            conversation = self._open.enter_context(
                agents.on(server, "hangar.upgrade", "upgrade.log", BESIDE)
            )
            self._talk = agents.Talk(conversation, server.environment, server.name)
        return self._talk

    def _hang_up(self) -> None:
        self._talk = None
        self._open.close()
        self._open = ExitStack()


def facts(said: dict[str, Any]) -> Facts:
    """The machine's answer as a record."""
    known = dict(said)
    cut, platform = known.pop("cut"), known.pop("platform")
    services = {name: Service(**one) for name, one in known.pop("services").items()}
    return Facts(
        **{**known, "lint": tuple(known["lint"])}, services=services,
        platform=Platform(**platform) if platform else None,
        cut=Cut(**{**cut, "broken": tuple(cut["broken"])}) if cut else None,
    )  # fmt: skip
