"""The way over a jump host: ssh there leads on to the machine, and trusts no other key there either."""

import re
from pathlib import Path

from hangar import paths
from hangar.cloud.base import Jump, Server
from hangar.ssh.quoting import quote

PREFIX = "jump-of-"
"""Before the machine's name in known_hosts: no machine of ours has such a one."""

PATIENCE = 15
"""Seconds until a jump host that does not answer is given up."""

ALIVE = 15
"""Seconds between two signs of life."""

NO_WORD = re.compile(r"kex_exchange_identification|banner exchange")
"""What ssh says of a machine that did not say a word to it."""


def command(server: Server, jump: Jump, user: str, key: Path, known_hosts: str = "") -> tuple[str, ...]:
    """The proxy command, for an account at the jump host and its key. None of the user's own settings take part."""
    known = known_hosts or quote(paths.known_hosts(server.environment))
    target = f"[{server.address}]" if ":" in server.address else server.address
    return (
        "ssh", "-F", "none", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes", "-i", str(key).replace("%", "%%"),
        "-o", f"UserKnownHostsFile={known}", "-o", "GlobalKnownHostsFile=/dev/null",
        "-o", "StrictHostKeyChecking=yes", "-o", f"HostKeyAlias={PREFIX}{server.name}", "-o", "UpdateHostKeys=no",
        "-o", f"ConnectTimeout={PATIENCE}", "-o", f"ServerAliveInterval={ALIVE}", "-o", "ServerAliveCountMax=4",
        "-l", user, "-p", str(jump.port), "-W", f"{target}:{server.port}", jump.address,
    )  # fmt: skip


def leads(words: tuple[str, ...]) -> str:
    """The jump host of a proxy command that `command` made, as ACCOUNT@ADDRESS; empty for any other."""
    if not any(word.startswith(f"HostKeyAlias={PREFIX}") for word in words):
        return ""
    return f"{words[words.index('-l') + 1]}@{words[-1]}"


def is_in_the_way(said: str) -> bool:
    """Whether a login failed before the machine itself said anything."""
    return bool(NO_WORD.search(said))


def why(said: str) -> tuple[str, str]:
    """What is wrong with the way, by what ssh said, and what to do about it."""
    if "host key" in said.lower() and "verification failed" in said.lower():
        return (
            "the jump host does not show the SSH host key that platform.yml names",
            "A stranger may be answering. If it was made anew, read its key on its own console"
            " (cat /etc/ssh/ssh_host_ed25519_key.pub) and put that into existing.jump.host_key.",
        )
    if "Permission denied" in said:
        return (
            "the jump host does not admit your account and key",
            "Both must be known there: existing.jump.user and access.private_key, or the name and key of ssh-config.",
        )
    if "administratively prohibited" in said:
        return (
            "the jump host refuses to lead on",
            "Its sshd must let your account forward to the machine: AllowTcpForwarding local, and PermitOpen if set.",
        )
    if re.search(r"open failed|stdio forwarding failed", said):
        return (
            "the jump host does not reach the machine",
            "Does the machine run, are existing.address and existing.port right as seen from the jump host, and does"
            " every firewall between the two let it through?",
        )
    if "Could not resolve" in said:
        return "nothing is known of a jump host of this name", "Correct existing.jump.address."
    return (
        "no answer comes back over it",
        "Does it run, does its sshd listen on existing.jump.port, and does every firewall on the way let you through?",
    )
