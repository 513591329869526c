"""The login proof: a fresh login through paramiko, which shares nothing with Ansible's connection."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from hangar import paths
from hangar.errors import HangarError, MachineUnreachable
from hangar.ssh.keys import read_public_key

TIMEOUT = 10.0
"""Seconds for each step of the login."""

COMMAND = "sudo -n true"
"""A way in that does not lead to root would lock the operator out as well."""


@dataclass(frozen=True)
class Target:
    """Where to log in and by which keys, as the environment's ssh_config says."""

    address: str
    port: int
    user: str
    private_key: Path
    known_hosts: Path

    @classmethod
    def of(cls, env: str) -> "Target":
        path = paths.ssh_config(env)
        if not path.exists():
            raise HangarError(f"{path} does not exist.", resolution=f"Write it: ./provision.py plan {env}")
        found = paramiko.SSHConfig.from_path(str(path)).lookup(f"hangar-{env}")
        return cls(
            address=found["hostname"],
            port=int(found["port"]),
            user=found["user"],
            private_key=Path(found["identityfile"][0].strip('"')),
            known_hosts=Path(found["userknownhostsfile"].strip('"')),
        )


def prove(target: Target, timeout: float = TIMEOUT) -> None:
    """Returns when a new login succeeds and leads to root.

    Raises:
        MachineUnreachable: it does not.
    """
    try:
        with _login(target, timeout) as client:
            _, output, errors = client.exec_command(COMMAND, timeout=timeout)
            status = output.channel.recv_exit_status()
            said = errors.read().decode(errors="replace").strip()
    except (OSError, paramiko.SSHException) as error:
        raise MachineUnreachable(
            f"A new login as {target.user} at {target.address} port {target.port} fails.",
            f"{type(error).__name__}: {error}",
        ) from error
    if status != 0:
        raise MachineUnreachable(f"{target.user} can log in, but `{COMMAND}` fails.", said)


@contextlib.contextmanager
def _login(target: Target, timeout: float) -> Iterator[paramiko.SSHClient]:
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        pin_host_keys(client.get_host_keys(), target)
        client.connect(
            target.address, target.port, target.user, pkey=_key(target.private_key),
            look_for_keys=False, allow_agent=False,
            timeout=timeout, banner_timeout=timeout, auth_timeout=timeout, channel_timeout=timeout,
        )  # fmt: skip
        yield client


def pin_host_keys(keys: paramiko.HostKeys, target: Target) -> None:
    """Our file names the machine, paramiko looks for the address: give it the same keys under that name."""
    name = target.address if target.port == 22 else f"[{target.address}]:{target.port}"
    for line in target.known_hosts.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            _, kind, data = line.split()[:3]
            entry = paramiko.hostkeys.HostKeyEntry.from_line(f"{name} {kind} {data}")
            if entry is not None and entry.key is not None:
                keys.add(name, kind, entry.key)


def _key(path: Path) -> paramiko.PKey:
    """The private key; one that cannot be read here (a passphrase) is used through the agent, and then it alone.

    Raises:
        HangarError: the agent does not have it.
    """
    try:
        return paramiko.PKey.from_path(path)
    except (TypeError, ValueError, paramiko.SSHException, paramiko.pkey.UnknownKeyType) as error:
        wanted = read_public_key(path).split()[1]
        for key in paramiko.Agent().get_keys():
            if key.get_base64() == wanted:
                return key
        raise HangarError(
            f"The key {path} cannot be used for a login that nobody watches.",
            f"It has a passphrase or is of another kind ({error}), and no agent has it.",
            f"Give it to the agent: ssh-add {path}",
        ) from error
