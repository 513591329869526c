from __future__ import annotations

from pathlib import Path

import pytest

from hangar import paths
from hangar.cloud.base import Server

ED25519 = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="id-1", address="127.0.0.1", port=22022,
    admin="hangar", host_keys=(ED25519,), ssh_sources=("172.30.0.1/32",), limits=("vm",),
)  # fmt: skip


@pytest.fixture
def server() -> Server:
    return SERVER


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home, a repository and a runtime folder of the test's own."""

    def run() -> Path:
        (tmp_path / "run").mkdir(exist_ok=True)
        return tmp_path / "run"

    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(paths, "REPO", tmp_path / "repo")
    monkeypatch.setattr("hangar.ssh.sockets.socket_folder", run)
    monkeypatch.setattr("hangar.ssh.tunnel.socket_folder", run)
    return tmp_path / "home"
