"""Starting the engine where there is systemd and where there is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from hangar import engine, process
from hangar.errors import CloudError, EngineRefused


@pytest.fixture
def computer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A computer without systemd, with a dockerd to be written into bin/."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setattr(engine, "SYSTEMD", tmp_path / "systemd")
    monkeypatch.setattr(engine, "LOG", tmp_path / "state" / "dockerd.log")
    monkeypatch.setattr(engine, "sudo", list)
    monkeypatch.setattr(engine, "_system_path", lambda: f"{tmp_path}/bin:/usr/bin:/bin")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:/usr/bin:/bin")
    return tmp_path


def dockerd(computer: Path, script: str) -> None:
    program = computer / "bin" / "dockerd"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def test_without_systemd_dockerd_is_started_itself(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dockerd(computer, f"touch {computer}/up; exec sleep 5")
    monkeypatch.setattr(engine, "answers", (computer / "up").exists)
    engine.start()
    assert (computer / "up").exists()


def test_a_dockerd_that_ends_is_not_waited_for(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dockerd(computer, "echo 'failed to start daemon: no iptables' >&2; exit 1")
    monkeypatch.setattr(engine, "answers", lambda: False)
    with pytest.raises(CloudError) as caught:
        engine.start()
    assert caught.value.brief == "The Docker engine ended again."
    assert caught.value.details == "failed to start daemon: no iptables"


def test_with_systemd_its_unit_is_started(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (computer / "systemd").mkdir()
    called: list[list[str]] = []
    monkeypatch.setattr(process, "run", lambda argv: called.append(argv))
    monkeypatch.setattr(engine, "answers", lambda: True)
    engine.start()
    assert called == [["systemctl", "start", "docker"]]


def test_an_engine_that_stays_silent_is_given_up(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (computer / "systemd").mkdir()
    monkeypatch.setattr(process, "run", lambda argv: None)
    monkeypatch.setattr(engine, "answers", lambda: False)
    monkeypatch.setattr(engine, "START_TIMEOUT", 0.0)
    with pytest.raises(CloudError, match="did not answer within 0 s") as caught:
        engine.start()
    assert caught.value.resolution == "Start it: sudo systemctl start docker"


def test_nothing_to_start(computer: Path) -> None:
    with pytest.raises(CloudError) as caught:
        engine.start()
    assert caught.value.resolution == "Start it: sudo dockerd"


def test_an_engine_that_refuses_this_account_is_not_waited_for(
    computer: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would go on refusing until the account has joined the group and logged in again."""
    (computer / "systemd").mkdir()
    monkeypatch.setattr(process, "run", lambda argv: None)
    asked: list[int] = []

    def connect(timeout: int) -> None:
        asked.append(timeout)
        raise engine.unavailable("unix:///var/run/docker.sock", "PermissionError(13, 'Permission denied')")

    monkeypatch.setattr(engine, "connect", connect)
    with pytest.raises(EngineRefused, match="may not use the Docker engine") as caught:
        engine.start()
    assert "sudo usermod -aG docker $USER" in caught.value.resolution
    assert len(asked) == 1
