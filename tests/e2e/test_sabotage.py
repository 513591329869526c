"""The operator locks himself out, and is back without lifting a finger. Minutes, since the timers are the real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import pytest

from .conftest import Checkout

BACK_WITHIN = 90
"""Seconds from the first refused login to the first that works again."""

PATIENCE = 600
"""Seconds for what comes before and after and promises no time: a computer may be slow."""

SSH_FAILED = 255
"""The exit status of ssh itself; commands have their own."""

STRANGER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVuZC5vZi50aGUubGluZS5ub2JvZHkuaGFzLml0Li4u nobody"
"""A public key that is whole, and whose private half nobody has."""

UNDONE = "ssh_server: brought back 1 paths: /etc/ssh/sshd_config.d/10-hangar.conf"
TOLD = "sudo journalctl --quiet --no-pager --output=cat --identifier=hangar-interlock --since=-15min"
"""What `./provision.py logs interlock` reads of undone changes."""

SABOTAGE = {
    "a drop-in that refuses everybody": ("ssh_server", {"ssh_server_allowed_groups": ["nobody-at-all"]}),
    "a key list without the operator": ("ssh_server", {"ssh_server_authorized_keys": {"hangar": [STRANGER]}}),
    "a rule that drops port 22": ("firewall", {"firewall_ssh_sources": ["192.0.2.1/32"]}),
    "a PAM stack that denies": (
        "hardening_accounts",
        {"hardening_accounts_account_lines": ["account requisite pam_deny.so"]},
    ),
    "a list of people that forgets the operator": ("people", {"people_other_accounts": []}),
    "a sudo that makes nobody root": (
        "hardening_accounts",
        {"hardening_accounts_sudo_lines": ["%hangar-admins ALL=(ALL:ALL) !ALL"]},
    ),
}


def playbook(machine: Checkout, *options: str) -> subprocess.Popen[str]:
    """Plain Ansible, without ./provision.py: the interlock is the roles' own."""
    argv = [
        sys.executable,
        "-m",
        "ansible",
        "playbook",
        "-i",
        str(machine.hosts),
        "playbooks/site.yml",
        *options,
    ]
    environment = {**os.environ, "ANSIBLE_CONFIG": str(machine.path / "ansible.cfg"), "LC_ALL": "C.UTF-8"}
    return subprocess.Popen(
        argv, cwd=machine.path, env=environment, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def new_login(machine: Checkout) -> bool:
    """Whether a login works that shares no connection with anybody, and becomes root."""
    argv = ["ssh", "-F", str(machine.state / "ssh_config"), "-S", "none", "-o", "ConnectTimeout=5",
            "-o", "BatchMode=yes", f"hangar-{machine.environment}", "sudo -n true"]  # fmt: skip
    try:
        return subprocess.run(argv, capture_output=True, timeout=20).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def ask(machine: Checkout, command: str) -> str:
    """What a command prints. A server that reloads just now refuses connections for a moment: ask until it answers."""
    answers: list[subprocess.CompletedProcess[str]] = []

    def answered() -> bool:
        answers.append(machine.ssh(command, check=False))
        return answers[-1].returncode != SSH_FAILED

    wait_until(answered, PATIENCE, "the machine answers")
    assert answers[-1].returncode == 0, answers[-1].stderr
    return answers[-1].stdout


def journal(machine: Checkout, name: str) -> dict[str, Any]:
    told = json.loads(ask(machine, "sudo /usr/local/lib/hangar/interlock list"))
    return next(entry for entry in told if entry["name"] == name)


def wait_until(condition: object, seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.2)


@dataclass
class Lockout:
    output: str
    status: int
    seconds: float


def lock_out(machine: Checkout, role: str, values: dict[str, object]) -> Lockout:
    """Run the sabotage and measure for how long no new login works."""
    process = playbook(machine, "--tags", role, "--extra-vars", json.dumps(values))
    try:
        wait_until(lambda: not new_login(machine), PATIENCE, "the sabotage bites")
        began = time.monotonic()
        wait_until(lambda: new_login(machine), BACK_WITHIN, "a new login works again")
        seconds = time.monotonic() - began
        output, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    return Lockout(output, process.returncode, seconds)


@pytest.mark.parametrize("sabotage", SABOTAGE)
def test_the_operator_is_back_by_himself(machine: Checkout, sabotage: str) -> None:
    role, values = SABOTAGE[sabotage]
    # The first waits as long as a machine of a user's does; the way back is the same for all of them.
    sooner = {} if sabotage == next(iter(SABOTAGE)) else {"interlock_after": 30}
    lockout = lock_out(machine, role, {**values, **sooner})
    assert lockout.status != 0
    assert f"The change that {role} made refuses a new login" in lockout.output
    assert "The machine has undone it by itself and new logins work again" in lockout.output
    changed = journal(machine, role)["paths"]
    assert changed
    assert f"It had changed {', '.join(changed)}." in " ".join(lockout.output.split())
    assert lockout.seconds < BACK_WITHIN
    assert journal(machine, role)["state"] == "undone"
    again = playbook(machine, "--tags", role)
    output, _ = again.communicate(timeout=PATIENCE)
    assert "changed=0" in output, output


def test_a_sudoers_file_that_does_not_parse_is_never_written(machine: Checkout) -> None:
    """sudo's own check refuses it before anything changes: nobody is locked out for one moment."""
    values = {"hardening_accounts_sudo_lines": ["Defaults no_such_setting_at_all="]}
    process = playbook(machine, "--tags", "hardening_accounts", "--extra-vars", json.dumps(values))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "/etc/sudoers.d/10-hangar-defaults" in output
    assert journal(machine, "hardening_accounts")["state"] != "open"
    assert new_login(machine)


def test_the_networks_parameters_come_back_as_the_kernel_had_them(machine: Checkout) -> None:
    """No file named this one before, so only the journal knows what it was."""
    parameter = "/proc/sys/net/ipv4/ip_default_ttl"
    before = ask(machine, f"cat {parameter}").strip()
    values = {
        "hardening_kernel_parameters": {"net.ipv4.ip_default_ttl": int(before) - 1},
        "interlock_login_proof": ["false"],
        "interlock_after": 30,
    }
    process = playbook(machine, "--tags", "hardening_kernel", "--extra-vars", json.dumps(values))
    output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert "The change that hardening_kernel made refuses a new login" in output
    assert journal(machine, "hardening_kernel")["state"] == "undone"
    assert ask(machine, f"cat {parameter}").strip() == before
    output, _ = playbook(machine, "--tags", "hardening_kernel").communicate(timeout=PATIENCE)
    assert "changed=0" in output, output


def is_written(machine: Checkout) -> bool:
    """Whether the change that is never proven stands in the file."""
    drop_in = ask(machine, "sudo cat /etc/ssh/sshd_config.d/10-hangar.conf")
    return "MaxAuthTries 5" in drop_in


def kill_between_change_and_proof(machine: Checkout, after: int) -> None:
    """A controller that dies at the worst moment: the change is written, nothing is proven."""
    values = {"ssh_server_max_auth_tries": 5, "interlock_after": after}
    process = playbook(machine, "--tags", "ssh_server", "--extra-vars", json.dumps(values))
    wait_until(lambda: is_written(machine), PATIENCE, "the change is written")
    process.kill()
    process.communicate()
    assert journal(machine, "ssh_server")["state"] == "open"


def test_a_controller_that_dies_before_the_proof_leaves_no_lasting_lock(machine: Checkout) -> None:
    """kill -9 between change and proof: the machine restores the state before, and the next run applies again."""
    kill_between_change_and_proof(machine, after=30)
    wait_until(lambda: not is_written(machine), 60, "the machine takes it back")
    assert journal(machine, "ssh_server")["state"] == "undone"
    # Nobody is there to be told, so it is written down.
    wait_until(lambda: UNDONE in ask(machine, TOLD), 60, "the log says what was undone")
    assert "changed=0" in playbook(machine, "--tags", "ssh_server").communicate(timeout=PATIENCE)[0]


def test_a_restart_before_the_proof_takes_the_change_back(machine: Checkout) -> None:
    """Timers do not outlive a restart; what runs at every start does their work. Here both without the restart."""
    kill_between_change_and_proof(machine, after=600)
    ask(machine, "sudo systemctl stop 'hangar-undo-*.timer'; sudo systemctl restart hangar-interlock.service")
    assert journal(machine, "ssh_server")["state"] == "undone"
    assert not is_written(machine)
    ask(machine, "sudo systemctl reload ssh.service")


def test_ssh_audit_finds_no_fault(machine: Checkout) -> None:
    """No fail and no warning, of the newest ssh-audit."""
    host = machine.inventory()
    argv = [
        sys.executable,
        "-m",
        "ssh_audit.ssh_audit",
        "--json",
        "--port",
        str(host["ansible_port"]),
        host["ansible_host"],
    ]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE)
    told = json.loads(done.stdout)
    faults = {
        f"{kind} {entry['algorithm']}: {level}: {note}"
        for kind in ("kex", "key", "enc", "mac")
        for entry in told[kind]
        for level in ("fail", "warn")
        for note in entry.get("notes", {}).get(level, [])
    }
    assert told["kex"]
    assert faults == set()
