"""One command on a machine, by a real ssh."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from hangar import paths
from hangar.errors import MachineUnreachable
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
