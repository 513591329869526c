"""What a play says after a change that refuses a new login. The machine is this one, its interlock the test's own."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from hangar import playbook
from hangar.errors import PlaybookFailed
from hangar.paths import REPO

PROVE = REPO / "roles/interlock/tasks/prove.yml"

JOURNALS = [
    {"name": "firewall", "paths": ["/etc/nftables.conf"]},
    {
        "name": "ssh_server",
        "paths": ["/etc/ssh/sshd_config.d/10-hangar.conf", "/etc/ssh/authorized_keys/ada"],
    },
]

Prove = Callable[..., str]


@pytest.fixture
def prove(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Prove:
    """Proves a change of `ssh_server` whose second login is refused; returns what the operator reads."""
    program = tmp_path / "interlock"
    (tmp_path / "prove.yml").write_text(
        PROVE.read_text().replace("/usr/local/lib/hangar/interlock", str(program))
    )

    def prove(listing: str, undo: str = "true") -> str:
        program.write_text(
            f"#!/bin/sh\necho $1 >> {tmp_path}/asked\ncase $1 in list) {listing};; undo) {undo};; esac\n"
        )
        program.chmod(0o755)
        values = {
            "interlock_name": "ssh_server", "interlock_after": 20,
            "interlock_login_proof": ["sh", "-c", "echo Permission denied >&2; exit 1"],
        }  # fmt: skip
        machine = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **values}
        play = {"hosts": "all", "gather_facts": False,
                "tasks": [{"ansible.builtin.include_tasks": str(tmp_path / "prove.yml")}]}  # fmt: skip
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        (tmp_path / "hosts.yml").write_text(yaml.safe_dump({"all": {"hosts": {"machine": machine}}}))
        monkeypatch.setattr(playbook, "hosts_file", lambda env: tmp_path / "hosts.yml")
        monkeypatch.setattr(playbook, "log_dir", lambda env: tmp_path)
        with pytest.raises(PlaybookFailed) as caught:
            playbook.run("trial", str(tmp_path / "play.yml"))
        return " ".join(str(caught.value.details).split())

    return prove


def test_a_lockout_names_the_files_that_were_changed(prove: Prove, tmp_path: Path) -> None:
    told = prove(f"echo '{json.dumps(JOURNALS)}'")
    assert (
        "The change that ssh_server made refuses a new login, so it is not kept."
        " The machine has undone it by itself and new logins work again."
        " It had changed /etc/ssh/sshd_config.d/10-hangar.conf, /etc/ssh/authorized_keys/ada."
        " Mend the values that ssh_server was given, then run again. The login said: Permission denied"
    ) in told
    assert "nftables" not in told
    assert (tmp_path / "asked").read_text().split() == ["undo", "list"], "undone before it is told"


def test_a_journal_that_cannot_be_read_does_not_hide_what_happened(prove: Prove) -> None:
    told = prove("exit 1")
    assert "new logins work again. Mend the values that ssh_server was given" in told
    assert "The login said: Permission denied" in told


def test_what_the_machine_could_not_bring_back_is_told(prove: Prove) -> None:
    told = prove("exit 1", "echo 'ssh_server: /etc/ssh/a: is full.' >&2; exit 1")
    assert (
        "New logins work again, but the machine has undone it in part only: ssh_server: /etc/ssh/a: is full."
        " Mend the values that ssh_server was given, then run again. The login said: Permission denied"
    ) in told
