"""Stand-ins for the stages of hangar/pipeline.py."""

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from hangar import pipeline
from hangar.airbyte.records import Step
from hangar.backup.records import Backup
from hangar.config import Config
from hangar.elt.records import Gold, Table
from hangar.errors import HangarError
from hangar.playbook import Recap, TaskRun
from hangar.ssh.tunnel import Forward
from hangar.verification import Promise
from tests.unit.fakes import FakeCloud

Make = Callable[..., Config]
PROMISES = (Promise("base", "Time is kept", "held"),)
STEPS = (Step("source", "faker", "nothing"), Step("connection", "faker_to_warehouse", "nothing"))
GOLD = Gold((Table("customers", ("user_id",), 10_000),), "scheduled__1", "2026-11-21T03:00:00Z")
BACKUP = Backup("20261101T031500Z", "hangar-local", "", 1.0, (), {}, (), ())
FORWARDS = (Forward("airflow", 8080, 8080),)


class Stages:
    """Everything around the pipeline, recorded in order; `fail_at` names the stage that breaks."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cloud = FakeCloud()
        self.calls = self.cloud.calls
        tasks = [
            ("base", 2.0),
            ("hardening_kernel", 1.0),
            ("interlock", 4.0),
            ("hardening_kernel", 0.5),
            ("", 9.0),
        ]
        self.recap = Recap(
            ok=10, changed=3, tasks=tuple(TaskRun(role, "A task", "ok", seconds) for role, seconds in tasks)
        )
        self.error: HangarError | None = None
        monkeypatch.setattr(pipeline, "cloud_for", lambda config: self.cloud)
        monkeypatch.setattr(pipeline, "pin", self._stage("pin", True))
        monkeypatch.setattr(pipeline.client_config, "write", self._stage("ssh_config", None))
        monkeypatch.setattr(pipeline.inventory, "write_hosts", self._stage("hosts.yml", None))
        monkeypatch.setattr(pipeline.playbook, "run", self._playbook)
        monkeypatch.setattr(pipeline.stage, "connected", lambda server: contextlib.nullcontext())
        monkeypatch.setattr(pipeline.stage, "ensure", self._stage("pipelines", STEPS))
        monkeypatch.setattr(pipeline.elt, "connected", lambda server, config: contextlib.nullcontext())
        monkeypatch.setattr(pipeline.first_run, "ensure", self._stage("first run", (GOLD, False)))
        monkeypatch.setattr(pipeline.first_run, "look", self._stage("gold?", GOLD))
        monkeypatch.setattr(pipeline.verification, "verify", self._stage("verify", PROMISES))
        monkeypatch.setattr(pipeline.backup, "require", self._stage("backup", BACKUP))
        monkeypatch.setattr(pipeline.backup, "put_back", self._stage("put back", None))
        monkeypatch.setattr(pipeline.backup, "meet", self._stage("backup's signer", None))
        monkeypatch.setattr(pipeline.tunnel, "ensure", self._stage("tunnel", FORWARDS))
        monkeypatch.setattr(pipeline.tunnel, "current", self._stage("tunnel?", FORWARDS))
        self.tunnel_was_open = True
        monkeypatch.setattr(pipeline.tunnel, "stop", lambda environment: self.tunnel_was_open)
        monkeypatch.setattr(
            pipeline.include, "remove", self._stage("include removed", ["~/.ssh/config.d/hangar-local"])
        )

    def _stage(self, name: str, answer: Any) -> Callable[..., Any]:
        def stage(*_: Any, **__: Any) -> Any:
            self.calls.append(name)
            return answer

        return stage

    def _playbook(self, env: str, **options: Any) -> Recap:
        self.calls.append("playbook --check" if options.get("check") else "playbook")
        if self.error:
            raise self.error
        return self.recap
