from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hangar import paths, process
from hangar.cloud.base import Server
from hangar.cloud.existing import probe
from hangar.errors import CloudError, HangarError, MachineUnreachable
from hangar.process import Completed
from hangar.ssh import known_hosts

KEY = Path("/keys/id")
PINNED = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
SERVER = Server(
    name="hangar-own", environment="own", cloud="existing", id="1", address="203.0.113.7", port=2222, admin="debian",
    host_keys=(PINNED,), ssh_sources=(),
)  # fmt: skip
FIT = {
    "system": "debian 13",
    "name": "Debian GNU/Linux 13 (trixie)",
    "uid": "1000",
    "sshd": "22",
    "python": "/usr/bin/python3",
    "sudo": "yes",
}


def test_a_fit_machine_is_taken() -> None:
    assert probe.facts(SERVER, FIT) == probe.Facts("Debian GNU/Linux 13 (trixie)", is_member=False)
    assert probe.facts(SERVER, {**FIT, "member": "yes"}).is_member


@pytest.mark.parametrize(
    ("what", "error"),
    [
        (
            {"system": "ubuntu 24.04", "name": "Ubuntu 24.04.1 LTS"},
            CloudError(
                "The machine at 203.0.113.7 is not Debian 13.",
                "* It says that it is: Ubuntu 24.04.1 LTS",
                "Hangar configures Debian 13 alone: install it there, or name another machine in existing.address.",
            ),
        ),
        (
            {"system": "debian 12", "name": "Debian GNU/Linux 12 (bookworm)"},
            CloudError(
                "The machine at 203.0.113.7 is not Debian 13.",
                "* It says that it is: Debian GNU/Linux 12 (bookworm)",
                "Hangar configures Debian 13 alone: install it there, or name another machine in existing.address.",
            ),
        ),
        (
            {"uid": "999"},
            CloudError(
                "debian is a system account on 203.0.113.7.",
                "* Its number is 999. Services answer people's accounts alone, which begin at 1000, and the"
                " audit trail names nobody else.",
                "Name an ordinary account in existing.user. To make one: ssh -p 2222 -t debian@203.0.113.7"
                " sudo adduser --disabled-password NAME",
            ),
        ),
        (
            {"uid": "60000"},
            CloudError(
                "debian has a number on 203.0.113.7 that no service answers.",
                "* It is 60000, as a directory or Google's OS Login gives. Services answer 1000 to 59999; what"
                " lies above may be a container's.",
                "Name an ordinary account in existing.user. To make one: ssh -p 2222 -t debian@203.0.113.7"
                " sudo adduser --disabled-password NAME",
            ),
        ),
        (
            {"sshd": "2222"},
            CloudError(
                "The sshd of 203.0.113.7 listens on port 2222.",
                "* The firewall will leave 22 open alone, and shut you out.",
                "Let it listen on 22 (`Port` in /etc/ssh/sshd_config, `ListenStream` of ssh.socket) and correct"
                " existing.port. A provider's forward from another port to 22 may stay as it is.",
            ),
        ),
        (
            {"sudo": "sudo: a password is required"},
            CloudError(
                "debian does not become root on 203.0.113.7 without a password.",
                "* sudo says: sudo: a password is required",
                "Allow it there, as root: echo 'debian ALL=(ALL:ALL) NOPASSWD: ALL' > /etc/sudoers.d/debian",
            ),
        ),
        (
            {"python": ""},
            CloudError(
                "The machine at 203.0.113.7 has no Python 3, by which Ansible works.",
                "",
                "Install it: ssh -p 2222 -t debian@203.0.113.7 sudo apt-get install --yes python3",
            ),
        ),
    ],
    ids=["ubuntu", "older", "system account", "directory", "port", "sudo", "python"],
)  # fmt: skip
def test_an_unfit_machine_is_refused_with_its_cure(what: dict[str, str], error: HangarError) -> None:
    with pytest.raises(CloudError) as caught:
        probe.facts(SERVER, {**FIT, **what})
    assert caught.value == error


CHANGED = """@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
IT IS POSSIBLE THAT SOMEONE IS DOING SOMETHING NASTY!
The fingerprint for the ED25519 key sent by the remote host is
SHA256:2IZH6kTd0f9jQ4lxV5cLxWZ5M7b0q5bW0sVfHSbT3OI.
Please contact your system administrator.
Host key verification failed.
"""
CURE = (
    "A stranger may be answering. If the machine was made anew, read its key on its own console"
    " (cat /etc/ssh/ssh_host_ed25519_key.pub) and put that into existing.host_key."
)
BRIEF = (
    "The machine at 203.0.113.7 port 2222 does not show the SSH host key that platform.yml names; nothing was sent"
    " to it."
)
PINNED_LINE = f"* Pinned: ssh-ed25519 {known_hosts.fingerprint(PINNED)}"


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (
            CHANGED,
            MachineUnreachable(
                BRIEF,
                f"* It shows: ED25519 SHA256:2IZH6kTd0f9jQ4lxV5cLxWZ5M7b0q5bW0sVfHSbT3OI\n{PINNED_LINE}",
                CURE,
            ),
        ),
        (
            "No RSA host key is known for hangar-own and you have requested strict checking.\n"
            "Host key verification failed.\n",
            MachineUnreachable(BRIEF, PINNED_LINE, CURE),
        ),
        (
            "debian@203.0.113.7: Permission denied (publickey).\n",
            MachineUnreachable(
                "debian is not admitted at 203.0.113.7 port 2222 by /keys/id.",
                "* ssh says: debian@203.0.113.7: Permission denied (publickey).",
                "Put its public half there, as that account or root: ssh-copy-id -i /keys/id -p 2222"
                " debian@203.0.113.7",
            ),
        ),
        (
            "ssh: connect to host 203.0.113.7 port 2222: Connection timed out\n",
            MachineUnreachable(
                "Nobody answers SSH at 203.0.113.7 port 2222.",
                "* ssh says: ssh: connect to host 203.0.113.7 port 2222: Connection timed out",
                "Is the machine running, does its sshd listen there, and does every firewall on the way let you"
                " through?",
            ),
        ),
    ],
    ids=["another key", "another kind of key", "refused", "silent"],
)
def test_a_login_that_fails_says_why(monkeypatch: pytest.MonkeyPatch, said: str, error: HangarError) -> None:
    monkeypatch.setattr(process, "bounded", lambda argv, **_: Completed(tuple(argv), 255, "", said))
    with pytest.raises(MachineUnreachable) as caught:
        probe.look(SERVER, KEY)
    assert caught.value == error


def test_a_name_that_nobody_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "ssh: Could not resolve hostname vm.invalid: Name or service not known\n"
    error = probe.refusal(replace(SERVER, address="vm.invalid"), KEY, said)
    assert error.brief == "Nothing is known of a machine named vm.invalid."
    assert error.resolution == "Correct existing.address in inventory/own/platform.yml."


def test_one_login_looks_at_everything_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Sequence[str], str]] = []

    def run(argv: Sequence[str], *, input: str, **_: Any) -> Completed:
        asked.append((argv, input))
        text = (
            "Welcome to vm!\nsystem=debian 13\nname=Debian GNU/Linux 13 (trixie)\npython=/usr/bin/python3\n"
        )
        return Completed(tuple(argv), 0, f"{text}sudo=yes\nmember=yes\n", "")

    monkeypatch.setattr(process, "bounded", run)
    assert probe.look(SERVER, KEY) == probe.Facts("Debian GNU/Linux 13 (trixie)", is_member=True)
    ((argv, script),) = asked
    assert "BatchMode=yes" in argv
    assert not any("StrictHostKeyChecking" in word for word in argv), "that is the configuration's: yes"
    assert "sudo -n true" in script
    assert 'echo "uid=$(id -u)"' in script
    assert 'echo "sshd=${SSH_CONNECTION##* }"' in script


def test_an_operator_is_whom_the_firewall_answers() -> None:
    """What the firewall refuses on loopback, forwards of that account cannot reach"""
    for number in (probe.PEOPLE.start, probe.PEOPLE.stop - 1):
        probe.facts(SERVER, {**FIT, "uid": str(number)})
    rules = (paths.REPO / "roles/firewall/templates/etc/hangar/firewall.nft.j2").read_text()
    assert f"meta skuid {probe.PEOPLE.start}-{probe.PEOPLE.stop - 1} tcp dport" in rules
    accepted, refused = (
        rules.index(line)
        for line in (
            f"meta skuid 1-{probe.PEOPLE.stop - 1} meta l4proto {{ tcp, udp }} accept",
            "meta skuid 1-4294967294 goto refuse",
        )
    )
    assert accepted < refused
