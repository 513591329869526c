"""A repository of their own for tests that read or write one."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import config, paths
from tests.runtime import own_sockets, plain_console
from tests.unit.stages import Stages

__all__ = ["own_sockets", "plain_console"]

REPO = paths.REPO


@pytest.fixture
def repo(own_sockets: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty repository with the real templates and an environment `local` of defaults."""
    monkeypatch.setattr(paths, "REPO", tmp_path)
    (tmp_path / "templates").symlink_to(REPO / "templates")
    (tmp_path / "inventory" / "local").mkdir(parents=True)
    (tmp_path / "inventory" / "local" / "platform.yml").touch()
    return tmp_path


@pytest.fixture
def make_config(repo: Path) -> Callable[..., config.Config]:
    """Settings of `local`: the defaults, changed by `path=value`."""

    def make(*overrides: str) -> config.Config:
        return config.load("local", overrides)

    return make


@pytest.fixture
def stages(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """The pipeline with nothing real around it, and the pipelines that this repository ships."""
    (repo / "pipelines").mkdir()
    shutil.copy(REPO / "pipelines/airbyte.yml", repo / "pipelines")
    return Stages(monkeypatch)
