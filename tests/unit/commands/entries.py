"""The verb `people` with a machine that is played: what it was told, in order, and whom it lets in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from hangar import cli, config, paths
from hangar.cloud.base import Server
from hangar.ssh import client_config, keys

SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="id-1", address="127.0.0.1", port=22022,
    admin="hangar", host_keys=(), ssh_sources=(), limits=(),
)  # fmt: skip
ADMINS = """\
people:
  - name: ada
    role: admin
    keys: [{}]
  - name: bob
    role: admin
    keys: [{}]
"""

Say = Callable[..., int]


@dataclass
class Machine:
    """Plays the machine: what it was told, in order, and whom it lets in."""

    server: Server | None = SERVER
    told: list[Any] = field(default_factory=list)
    admits: set[str] = field(default_factory=set)
    known: dict[str, Any] = field(default_factory=dict)
    keeps: bool = False

    def apply(self, found: config.Config, *, operators: bool, progress: Any) -> None:
        self.told.append(("apply", operators))
        self.admits |= {person.name for person in found.people if not person.is_expired}
        self.admits -= {person.name for person in found.people if person.is_expired}

    def remove(self, environment: str, name: str) -> dict[str, Any]:
        self.told.append(("remove", name))
        self.admits -= set() if self.keeps else {name}
        return {"seconds": 0.4, "archive": f"/srv/people/archive/{name}-20261125.tar"}

    def is_admitted(self, environment: str, account: str, key: str) -> bool:
        self.told.append(("login attempt", account))
        return account in self.admits


@pytest.fixture
def machine(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    played = Machine()
    monkeypatch.setattr("hangar.people.machine.apply", played.apply)
    monkeypatch.setattr("hangar.people.machine.remove", played.remove)
    monkeypatch.setattr("hangar.people.machine.show", lambda env: played.known)
    monkeypatch.setattr("hangar.people.machine.is_admitted", played.is_admitted)
    keys.ensure_key(paths.default_private_key("local"), "hangar-local")
    monkeypatch.setattr("hangar.pipeline.introduce", lambda server, found: known_here())
    for module in ("coming", "leaving"):
        monkeypatch.setattr(f"hangar.people.{module}.cloud_for", lambda found: played_cloud(played))
    return played


def known_here() -> None:
    client_config.write(SERVER, paths.default_private_key("local"))


def played_cloud(played: Machine) -> Any:
    @dataclass
    class Cloud:
        def server(self) -> Server | None:
            return played.server

    return Cloud()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return lambda *words: cli.main(["people", *words])


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        keys.ensure_key(tmp_path / name, name)
        return tmp_path / f"{name}.pub"

    return make


def written() -> str:
    return paths.platform_file("local").read_text()
