"""Looks at a machine through one login: is it the one that is meant, and can the roles work on it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hangar import paths, process
from hangar.cloud.base import Server
from hangar.errors import CloudError, HangarError, MachineUnreachable
from hangar.ssh import jump, known_hosts

PATIENCE = 60.0
"""Seconds that the login and the look may take."""

CONNECT_PATIENCE = 15
"""Seconds until an address that does not answer is given up."""

ADMINS = "hangar-admins"
"""The group whose members may log in and become root, once the machine is configured."""

PEOPLE = range(1000, 60_000)
"""The numbers of accounts that are not the system's own, here as on any Debian. On loopback the firewall takes what
lies above for containers' and refuses it (roles/firewall): the operator's forwards would lead nowhere.
"""

SSH_PORT = 22
"""The one port that the firewall leaves open (roles/firewall)."""

LOOK = f"""
. /etc/os-release 2>/dev/null
echo "system=$ID $VERSION_ID"
echo "name=$PRETTY_NAME"
echo "uid=$(id -u)"
echo "sshd=${{SSH_CONNECTION##* }}"
echo "python=$(command -v python3)"
echo "sudo=$(sudo -n true 2>&1 && echo yes)"
id -nG | tr ' ' '\\n' | grep -qx {ADMINS} && echo member=yes
exit 0
"""


@dataclass(frozen=True)
class Facts:
    """What a fit machine says of itself."""

    name: str
    is_member: bool


def look(server: Server, private_key: Path) -> Facts:
    """Logs in by the environment's ssh_config and looks; changes nothing.

    Raises:
        MachineUnreachable: nobody answers, the host key is not the pinned one, or the key opens nothing.
        CloudError: the machine is not Debian 13, has no Python 3, its sshd listens on another port than 22, or its
            account is a system account or does not become root.
    """
    argv = [
        "ssh", "-F", str(paths.ssh_config(server.environment)), "-o", "BatchMode=yes",
        "-o", f"ConnectTimeout={CONNECT_PATIENCE}", server.name, "sh -s",
    ]  # fmt: skip
    done = process.bounded(argv, input=LOOK, check=False, timeout=PATIENCE)
    if done.returncode != 0:
        raise refusal(server, private_key, done.stderr)
    return facts(server, read(done.stdout))


def read(text: str) -> dict[str, str]:
    """The lines `name=value`; what a login script says beside them is left out."""
    return dict(line.split("=", 1) for line in text.splitlines() if re.match(r"[a-z]+=", line))


def facts(server: Server, found: Mapping[str, str]) -> Facts:
    """Raises CloudError with what makes the machine unfit."""
    where = f"{server.admin}@{server.address}"
    ssh = f"ssh -p {server.port} -t {where}"
    name = found.get("name") or "unknown"
    if found.get("system") != "debian 13":
        raise CloudError(
            f"The machine at {server.address} is not Debian 13.",
            f"* It says that it is: {name}",
            "Hangar configures Debian 13 alone: install it there, or name another machine in existing.address.",
        )
    number = int(found.get("uid") or PEOPLE.start)
    if number < PEOPLE.start:
        raise CloudError(
            f"{server.admin} is a system account on {server.address}.",
            f"* Its number is {number}. Services answer people's accounts alone, which begin at {PEOPLE.start}, and the"
            " audit trail names nobody else.",
            f"Name an ordinary account in existing.user. To make one: {ssh} sudo adduser --disabled-password NAME",
        )
    if number not in PEOPLE:
        raise CloudError(
            f"{server.admin} has a number on {server.address} that no service answers.",
            f"* It is {number}, as a directory or Google's OS Login gives. Services answer {PEOPLE.start} to"
            f" {PEOPLE.stop - 1}; what lies above may be a container's.",
            f"Name an ordinary account in existing.user. To make one: {ssh} sudo adduser --disabled-password NAME",
        )
    if (listens := int(found.get("sshd") or SSH_PORT)) != SSH_PORT:
        raise CloudError(
            f"The sshd of {server.address} listens on port {listens}.",
            f"* The firewall will leave {SSH_PORT} open alone, and shut you out.",
            f"Let it listen on {SSH_PORT} (`Port` in /etc/ssh/sshd_config, `ListenStream` of ssh.socket) and correct"
            f" existing.port. A provider's forward from another port to {SSH_PORT} may stay as it is.",
        )
    if found.get("sudo") != "yes":
        raise CloudError(
            f"{server.admin} does not become root on {server.address} without a password.",
            f"* sudo says: {found.get('sudo') or 'nothing'}",
            f"Allow it there, as root: echo '{server.admin} ALL=(ALL:ALL) NOPASSWD: ALL'"
            f" > /etc/sudoers.d/{server.admin}",
        )
    if not found.get("python"):
        raise CloudError(
            f"The machine at {server.address} has no Python 3, by which Ansible works.",
            resolution=f"Install it: {ssh} sudo apt-get install --yes python3",
        )
    return Facts(name, "member" in found)


def refusal(server: Server, private_key: Path, said: str) -> HangarError:
    """Why ssh did not get in, in words."""
    place = f"{server.address} port {server.port}"
    if server.jump and jump.is_in_the_way(said):
        what, cure = jump.why(said)
        where = f"{server.jump.user}@{server.jump.address} port {server.jump.port}"
        return MachineUnreachable(f"The way to {place} leads over {where}, and {what}.", _quoted(said), cure)
    if known_hosts.is_another_key(said):
        return _other_key(server, place, said)
    if "Permission denied" in said:
        return MachineUnreachable(
            f"{server.admin} is not admitted at {place} by {private_key}.",
            _quoted(said),
            "Put its public half there, as that account or root:"
            f" ssh-copy-id -i {private_key} -p {server.port} {server.admin}@{server.address}",
        )
    if "Could not resolve" in said:
        return MachineUnreachable(
            f"Nothing is known of a machine named {server.address}.", _quoted(said),
            f"Correct existing.address in {paths.shown(paths.platform_file(server.environment))}.",
        )  # fmt: skip
    return MachineUnreachable(
        f"Nobody answers SSH at {place}.",
        _quoted(said),
        "Is the machine running, does its sshd listen there, and does every firewall on the way let you through?",
    )


def _other_key(server: Server, place: str, said: str) -> MachineUnreachable:
    return MachineUnreachable(
        f"The machine at {place} does not show the SSH host key that platform.yml names; nothing was sent to it.",
        known_hosts.shown_and_pinned(server.host_keys, said),
        "A stranger may be answering. If the machine was made anew, read its key on its own console"
        " (cat /etc/ssh/ssh_host_ed25519_key.pub) and put that into existing.host_key.",
    )


def _quoted(said: str) -> str:
    return "\n".join(f"* ssh says: {line.strip()}" for line in said.strip().splitlines()[-3:])
