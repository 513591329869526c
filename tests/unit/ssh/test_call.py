"""One command on a machine, by a real ssh."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hangar import paths
from hangar.backup.machine import Machine
from hangar.errors import HangarError, MachineUnreachable
from hangar.people import machine as people
from hangar.ssh import call

WORDS = ["people", "show"]


@pytest.fixture
def silent(repo: Path) -> Iterator[None]:
    """The way to the machine ends at somebody who takes the connection and says nothing, as a firewall may."""
    if shutil.which("ssh") is None:
        pytest.skip("needs Debian's openssh-client")
    with socket.create_server(("127.0.0.1", 0)) as listening:
        paths.ensure_state_dir("local")
        paths.ssh_config("local").write_text(
            f"Host hangar-local\n  HostName 127.0.0.1\n  Port {listening.getsockname()[1]}\n"
        )
        yield


@pytest.mark.usefixtures("silent")
def test_a_machine_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "CONNECT", 1)
    with pytest.raises(MachineUnreachable) as refused:
        call.ask("local", WORDS, seconds=60)
    assert "timed out" in refused.value.details
    assert refused.value.resolution == "See whether it can be reached: ./provision.py ssh local"


@pytest.mark.usefixtures("silent")
def test_an_answer_that_does_not_come_in_time_is_none() -> None:
    with pytest.raises(MachineUnreachable) as refused:
        call.ask("local", WORDS, seconds=0.5)
    assert refused.value.details == "ssh was ended: it took longer than 0.5 seconds."


def test_whatever_the_program_says_is_its_answer(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its failure is no machine that cannot be reached."""
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    ssh.write_text('#!/bin/sh\ncat\nfor last; do :; done\necho "$last" >&2\nexit 254\n')
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    done = call.ask("local", ["people", "remove", "a b"], seconds=60, input="said\n")
    assert (done.returncode, done.stdout) == (254, "said\n")
    assert done.stderr == "sudo -n people remove 'a b'\n"


@pytest.mark.parametrize(
    "ask", [people.show, lambda env: people.remove(env, "ana"), lambda env: Machine(env).show()]
)
@pytest.mark.parametrize("said", ["Welcome, anna!\n[]", "", "[" * 100_000])
def test_what_start_up_files_print_is_told_for_what_it_is(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], object], said: str
) -> None:
    """A greeting in front of the answer was called a defect of Hangar's"""
    ssh = tmp_path / "bin/ssh"
    ssh.parent.mkdir()
    (ssh.parent / "said").write_text(said)
    ssh.write_text(f"#!/bin/sh\ncat {ssh.parent}/said\n")
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:/usr/bin:/bin")
    with pytest.raises(HangarError) as refused:
        ask("local")
    assert refused.value.brief == "hangar-local answers, but not as its programs do."
    assert f"It begins with: {said[:200]!r}" in refused.value.details
    assert "./provision.py ssh local true" in refused.value.resolution
