"""A machine that is somebody else's by now answers this computer's questions without an end."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import arrival, config, paths, process, releases, verification
from hangar.backup.machine import Machine
from hangar.checks import way
from hangar.cloud.existing import probe
from hangar.commands import _machine, status
from hangar.errors import CommandFailed
from hangar.people import machine as people
from hangar.ssh import admission, call
from tests.unit.fakes import SERVER

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"


def first_login() -> None:
    with verification._connection(SERVER):
        pytest.fail("nothing must be asked")


QUESTIONS: dict[str, Callable[[], object]] = {
    "status": lambda: status.ask(SERVER, config.load("local")),
    "dags": lambda: releases.kept("local"),
    "people": lambda: people.show("local"),
    "backup": lambda: Machine("local").show(),
    "existing": lambda: probe.look(SERVER, Path("/no/key")),
    "admission": lambda: admission.is_admitted("local", "ana", KEY),
    "verify": first_login,
}
ENDED = "ssh was ended: it says more than 64 MiB."
LIVED_WITH: dict[str, tuple[Callable[[], object], object]] = {
    "arrival": (
        lambda: arrival._try(["ssh", "machine"]),
        process.Completed(("ssh", "machine"), call.NO_LOGIN, "", ENDED),
    ),
    "host key": (lambda: _machine._shown("local"), ""),
}
"""Those that ask again or find another way, and what they take it for."""


@pytest.fixture(autouse=True)
def ssh(repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin/ssh"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho 'debug1: Connecting' >&2\nexec cat /dev/zero\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    paths.ensure_state_dir("local")
    paths.ssh_config("local").touch()


@pytest.mark.parametrize("verb", QUESTIONS)
def test_it_does_not_fill_this_computers_memory(verb: str) -> None:
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=re.escape(ENDED)):
        QUESTIONS[verb]()
    assert time.monotonic() - began < 30, "not by its time"


@pytest.mark.parametrize("verb", LIVED_WITH)
def test_nor_where_its_silence_would_be_lived_with(verb: str) -> None:
    ask, taken_for = LIVED_WITH[verb]
    began = time.monotonic()
    assert ask() == taken_for
    assert time.monotonic() - began < 30, "not by its time"


def test_doctor_still_tells_how_far_the_login_came(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(way, "PATIENCE", 30.0)
    tried = way.log_in("local", paths.ssh_config("local"))
    assert tried.said == f"debug1: Connecting\n\n{ENDED}\n"
    assert way.forwarded("local", paths.ssh_config("local")).state == "warning"
