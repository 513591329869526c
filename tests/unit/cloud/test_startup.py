from __future__ import annotations

import subprocess
from collections.abc import Callable

from hangar.cloud import startup
from hangar.cloud.base import MachineSpec


def test_values_cannot_leave_their_quotes(spec: Callable[..., MachineSpec]) -> None:
    script = startup.render(spec(public_key="ssh-ed25519 AAAA it's $(reboot)"))
    assert "key='ssh-ed25519 AAAA it'\"'\"'s $(reboot)'\n" in script


def test_the_script_is_valid_shell(spec: Callable[..., MachineSpec]) -> None:
    subprocess.run(["sh", "-n"], input=startup.render(spec()), text=True, check=True)


def test_what_ansible_manages_later_is_left_alone(spec: Callable[..., MachineSpec]) -> None:
    script = startup.render(spec())
    assert "if [ ! -e /etc/ssh/sshd_config.d/10-hangar.conf ]; then" in script
