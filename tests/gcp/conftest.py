from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hangar import config, paths
from hangar.cloud.base import MachineSpec, Plan
from hangar.cloud.gcp import calling, driver, host_keys
from hangar.cloud.gcp.driver import GoogleCloud
from hangar.config import Config
from tests.gcp import methods
from tests.google.client import Google
from tests.google.fixture import google, google_server
from tests.runtime import own_sockets, plain_console

__all__ = ["google", "google_server", "own_sockets", "plain_console"]

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGdOYXJlIGtleSBvZiB0aGUgb3BlcmF0b3I operator"
ZONE = "europe-west3-a"
READS = ("get", "list", "aggregatedList", "getFromFamily", "getIamPolicy", "wait", "getGuestAttributes")

Settings = Callable[..., Config]


@dataclass
class Environment:
    """One environment on the stand-in, as a fresh call of Hangar sees it."""

    google: Google
    settings: Settings
    overrides: tuple[str, ...] = ()
    said: list[str] = field(default_factory=list)

    def cloud(self, *overrides: str) -> GoogleCloud:
        return GoogleCloud(self.settings(*self.overrides, *overrides))

    def spec(self, key: str = KEY) -> MachineSpec:
        return MachineSpec("production", "hangar-production", None, None, None, "hangar", key)

    def plan(self, *overrides: str, key: str = KEY) -> Plan:
        return self.cloud(*overrides).plan(self.spec(key))

    def up(self, *overrides: str, key: str = KEY) -> Plan:
        """The cloud half of `up`: plan, then all that comes before SSH. Returns the plan that was carried out."""
        cloud = self.cloud(*overrides)
        with cloud.hold("provision.py up production"):
            plan = cloud.plan(self.spec(key))
            cloud.ensure(plan, self.spec(key), self.said.append)
        return plan

    def writes(self, since: int = 0) -> list[str]:
        """The methods called that change something, but for the lock."""
        called = [call["method"] for call in self.google.journal(since=since)]
        return [one for one in called if one.split(".")[-1] not in READS and not one.startswith("storage.")]

    def calls(self) -> int:
        return len(self.google.journal())

    @property
    def instance(self) -> dict[str, Any]:
        found: dict[str, Any] = self.google.resources("instances")["hangar-production"]
        return found


@pytest.fixture
def environment(
    google: Google, own_sockets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Environment]:
    """Whatever is called during the test must be a method that the fault matrices try (methods.py)."""
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(google.key_file()))
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "127.0.0.1")
    monkeypatch.setattr(paths, "REPO", tmp_path)
    monkeypatch.setattr(host_keys, "PAUSE", 0.1)
    monkeypatch.setattr(host_keys, "LATER", 0.1)
    monkeypatch.setattr(driver, "ROUND_PAUSE", 0.1)
    monkeypatch.setattr(calling, "FIRST", 0.02)
    monkeypatch.setattr(calling, "GIVE_UP", 1.0)
    folder = tmp_path / "inventory" / "production"
    folder.mkdir(parents=True)
    (folder / "platform.yml").write_text(
        f"cloud: gcp\ngcp:\n  project: {google.project}\n  zone: {ZONE}\n  api_endpoint: {google.base_url}\n"
    )
    yield Environment(google, lambda *overrides: config.load("production", overrides))
    called = {call["method"] for call in google.journal()}
    assert called - methods.OF_THE_TESTS <= methods.ALL, "give these a scene in tests/gcp/scenes"
