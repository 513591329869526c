"""The contracts' one connection: what a command brings back, whose it is, and what happens when the machine is gone."""

import os
import re
import sys
from pathlib import Path

import pytest
from testinfra.backend import get_backend
from testinfra.host import Host

from hangar import root_shell

SSH = """#!/bin/sh
echo login >> {log}
shift $(($# - 1))
exec sh -c "$1"
"""
SUDO = """#!/bin/sh
while [ "${1#-}" != "$1" ]; do [ "$1" = -u ] && { echo "as $2"; shift; }; shift; done
[ "$1" = python3 ] && { shift; exec %s "$@"; }
exec "$@"
"""


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ssh and a sudo that stay on this computer; every login leaves a line in the file."""
    log = tmp_path / "logins"
    for name, text in (("ssh", SSH.format(log=log)), ("sudo", SUDO % sys.executable)):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    root_shell.register()
    return log


def host(sudo: bool = True) -> Host:
    return Host(get_backend("root-shell://hangar-local", ssh_config="/dev/null", sudo=sudo))


def test_many_commands_are_one_login(logins: Path) -> None:
    machine = host()
    assert [machine.check_output(f"echo {number}") for number in range(5)] == list("01234")
    assert logins.read_text() == "login\n"


def test_a_command_brings_back_its_status_and_both_outputs_byte_by_byte(logins: Path) -> None:
    done = host().run(r"printf 'a\n\377'; printf 'b\n' >&2; exit 3")
    assert (done.rc, done.stdout_bytes, done.stderr_bytes) == (3, b"a\n\xff", b"b\n")


def test_arguments_are_quoted_and_nothing_is_read(logins: Path) -> None:
    assert host().check_output("printf %s; cat", "$HOME; it's") == "$HOME; it's"


def test_another_account_is_asked_of_sudo(logins: Path) -> None:
    machine = host()
    with machine.sudo("airflow"):
        assert machine.check_output("echo done") == "as airflow\ndone"
    assert machine.check_output("echo done") == "done"


def test_a_pipe_that_nobody_reads_ends_its_writer_as_in_any_shell(logins: Path) -> None:
    assert host().run("yes | head -1").rc == 0
    assert host().run("kill -9 $$").rc == -9


def test_a_machine_that_goes_away_breaks_one_command_and_not_the_next(logins: Path) -> None:
    machine = host()
    assert machine.check_output("echo here") == "here"
    with pytest.raises(RuntimeError, match="the machine stopped answering"):
        machine.run("kill -9 $PPID")
    assert machine.check_output("echo again") == "again"
    assert logins.read_text() == "login\nlogin\n"


@pytest.mark.parametrize("command", ["sleep 100", "sleep 100 & kill -STOP $!", "sleep 100 & exit 0"])
def test_a_command_that_does_not_end_is_killed_and_named(
    logins: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setattr(root_shell, "SECONDS", 0.2)
    machine = host()
    with pytest.raises(
        RuntimeError, match=re.escape(f"it did not end within 0.2 seconds and was killed: {command}")
    ):
        machine.run(command)
    assert machine.check_output("echo again") == "again"
    assert logins.read_text() == "login\n"


def test_a_contract_that_does_not_ask_for_root_does_not_get_it(logins: Path) -> None:
    with pytest.raises(RuntimeError, match="--sudo"):
        host(sudo=False).run("true")
    assert not logins.exists()
