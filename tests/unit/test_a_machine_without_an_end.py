"""A machine that is somebody else's by now answers this computer's questions without an end."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import config, paths, releases
from hangar.backup.machine import Machine
from hangar.cloud.existing import probe
from hangar.commands import status
from hangar.errors import CommandFailed
from hangar.people import machine as people
from tests.unit.fakes import SERVER

QUESTIONS: dict[str, Callable[[], object]] = {
    "status": lambda: status.ask(SERVER, config.load("local")),
    "dags": lambda: releases.kept("local"),
    "people": lambda: people.show("local"),
    "backup": lambda: Machine("local").show(),
    "existing": lambda: probe.look(SERVER, Path("/no/key")),
}


@pytest.mark.usefixtures("repo")
@pytest.mark.parametrize("verb", QUESTIONS)
def test_it_does_not_fill_this_computers_memory(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text("#!/bin/sh\nexec cat /dev/zero\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", str(ssh.parent), prepend=":")
    paths.ensure_state_dir("local")
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=r"^ssh was ended: it says more than 64 MiB\."):
        QUESTIONS[verb]()
    assert time.monotonic() - began < 30, "not by its time"
