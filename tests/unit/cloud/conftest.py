from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from hangar.cloud.base import MachineSpec
from hangar.cloud.container import ContainerCloud
from hangar.cloud.local import looking
from hangar.cloud.recipe import Recipe
from tests.unit.fake_engine import FakeEngine

SPEC = MachineSpec(
    environment="local", name="hangar-local", cpus=None, memory_bytes=None, ssh_port=None, admin="hangar",
    public_key="ssh-ed25519 AAAA hangar-local",
)  # fmt: skip


@pytest.fixture
def spec() -> Callable[..., MachineSpec]:
    return lambda **changes: replace(SPEC, **changes)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakeEngine:
    """An engine that has the base image and whose machines answer at once."""
    monkeypatch.setattr(looking, "says_ssh", lambda address, port: True)
    monkeypatch.setattr(looking, "PAUSE", 0)
    monkeypatch.setattr("hangar.cloud.base_image.CACHE", tmp_path / "cache")
    fake = FakeEngine()
    fake.images_[f"hangar-base:{Recipe().hash}"] = {"hangar.recipe": Recipe().hash}
    return fake


@pytest.fixture
def cloud(engine: FakeEngine) -> ContainerCloud:
    return ContainerCloud("local", client=engine)  # type: ignore[arg-type]
