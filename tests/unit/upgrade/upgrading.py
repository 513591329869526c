"""Everything around an upgrade on this computer, played; see `stand` for the machine."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hangar.backup.records import Backup
from hangar.config import Config
from hangar.playbook import Recap
from hangar.upgrade import attempt, stage
from hangar.upgrade.records import Group, Item, Plan
from hangar.verification import Promise
from tests.unit.fakes import FakeCloud

Make = Callable[..., Config]
BACKUP = Backup("20261128T220000Z", "hangar-local", "", 1.0, (), {}, (), ())
LIBRARY = Item("libssl3t64", "3.5.1-1", "3.5.1-2")
DEBIAN = Group("security", "Debian's security updates", (LIBRARY,))
IMAGE = Group("airflow", "Airflow's image", (Item("apache-airflow", "3.3.1", "3.3.2"),))
HELD = (Promise("base", "Time is kept", "held"), Promise("airflow", "Logs leave", "broken"))
LOST = (Promise("base", "Time is kept", "broken"), Promise("airflow", "Logs leave", "broken"))


class Stages:
    """Everything around an upgrade, recorded in order; `fails` names a call and what it raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = FakeCloud()
        self.cloud.spec = object()
        self.calls: list[str] = []
        self.fails: dict[str, BaseException] = {}
        self.left: list[list[str]] = [["elt.build"], []]
        self.plan = Plan((DEBIAN, IMAGE))
        self.promises = [HELD, HELD]
        monkeypatch.setattr(stage, "cloud_for", lambda config: self.cloud)
        monkeypatch.setattr(stage.pipeline, "introduce", lambda server, config, **_: None)
        monkeypatch.setattr(stage, "Machine", lambda server: contextlib.nullcontext(self))
        monkeypatch.setattr(stage, "_plan", lambda config, there, progress: self.plan)
        monkeypatch.setattr(
            attempt.verification, "verify", lambda server, step: self._called("verify", self.promises.pop(0))
        )
        monkeypatch.setattr(
            attempt.backup, "now", lambda config, report: self._called("backup", (BACKUP, []))
        )
        monkeypatch.setattr(
            stage.pipeline, "configure", lambda config, progress: self._called("playbook", Recap())
        )
        monkeypatch.setattr(attempt, "BETWEEN_LOOKS", 0)

    def _called(self, name: str, answer: Any = None) -> Any:
        self.calls.append(name)
        if name in self.fails:
            raise self.fails[name]
        return answer

    def drain(self, *, again: bool = False) -> None:
        self._called("drain again" if again else "drain")

    def look(self) -> None: ...

    def keep(self, broken: list[str]) -> None:
        assert broken == ["airflow: Logs leave"]
        self._called("keep")

    def packages(self, docker: list[str]) -> tuple[Item, ...]:
        self._called(f"packages {docker}" if docker else "packages")
        return (LIBRARY,)

    def undo(self) -> list[str]:
        self._called("undo")
        return ["images of airflow as they were"]

    def release(self) -> None:
        self._called("release")

    def done(self) -> None:
        self._called("done")

    def busy(self) -> list[str]:
        self._called("busy")
        return self.left.pop(0) if len(self.left) > 1 else self.left[0]


@pytest.fixture
def stages(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    return Stages(monkeypatch)


def apply(config: Config, **options: Any) -> attempt.Done:
    return stage.apply(config, lambda plan: None, **options)


IN_ORDER = ["verify", "backup", "drain", "busy", "busy", "keep", "packages", "playbook", "verify"]
