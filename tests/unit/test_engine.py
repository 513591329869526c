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
    monkeypatch.setattr(engine, "GRACE", 0.0)
    with pytest.raises(CloudError) as caught:
        engine.start()
    assert caught.value.brief == "The Docker engine ended again."
    assert caught.value.details == "failed to start daemon: no iptables"


def test_of_two_that_start_at_once_one_gives_way(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two calls find no engine and start one each; the second to come ends, and the first serves both."""
    dockerd(computer, "echo 'process with PID 12 is still running' >&2; exit 1")
    answered = iter([False, False, False, True])
    monkeypatch.setattr(engine, "answers", lambda: next(answered))
    engine.start()
    assert next(answered, None) is None


def test_an_engine_that_answers_is_left_alone(computer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dockerd(computer, f"touch {computer}/up")
    monkeypatch.setattr(engine, "answers", lambda: True)
    said: list[str] = []
    engine.ensure_runs(said.append)
    assert said == []
    assert not (computer / "up").exists()


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


@pytest.mark.parametrize(
    ("address", "there"),
    [("unix:///var/run/docker.sock", False), ("unix:///home/me/.docker/desktop/docker.sock", True)],
)
def test_the_client_alone_is_no_engine(
    computer: Path, monkeypatch: pytest.MonkeyPatch, address: str, there: bool
) -> None:
    """But Docker Desktop's has an engine elsewhere, without a dockerd that could be seen."""
    client = computer / "bin" / "docker"
    client.write_text("#!/bin/sh\n")
    client.chmod(0o755)
    monkeypatch.setenv("PATH", f"{computer}/bin")
    monkeypatch.setattr(engine, "_system_path", lambda: f"{computer}/bin")
    monkeypatch.setattr(engine, "SOCKET", computer / "docker.sock")
    monkeypatch.setattr(engine, "endpoint", lambda: (address.replace("/var/run", str(computer)), None))
    assert engine.installed() is there


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
