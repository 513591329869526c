"""The login proof: a fresh login through paramiko, which shares nothing with Ansible's connection."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from hangar import paths, process
from hangar.bounds import COMPLAINED
from hangar.errors import HangarError, MachineUnreachable
from hangar.process.connection import Connection, connected
from hangar.ssh import client_config, proxy
from hangar.ssh.keys import read_public_key
from hangar.ssh.known_hosts import pinned

TIMEOUT = 20.0
"""Seconds for each step of the login: on a busy emulated processor the whole of it takes as long."""

PROXY_TIMEOUT = 20.0
"""Seconds that a proxy command gets in addition, until the machine answers through it."""

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
    proxy_command: tuple[str, ...] = ()

    @classmethod
    def of(cls, env: str) -> "Target":
        path = paths.ssh_config(env)
        if not path.exists():
            raise HangarError(f"{path} does not exist.", resolution=f"Write it: ./provision.py plan {env}")
        found = client_config.read(path)
        return cls(
            address=found["HostName"],
            port=int(found["Port"]),
            user=found["User"],
            private_key=client_config.unquote(found["IdentityFile"]),
            known_hosts=client_config.unquote(found["UserKnownHostsFile"]),
            proxy_command=proxy.words(found.get("ProxyCommand", "")),
        )


def prove(target: Target, timeout: float = TIMEOUT) -> None:
    """Returns when a new login succeeds and leads to root.

    Raises:
        MachineUnreachable: it does not.
    """
    with _way(target) as way:
        try:
            with _login(target, timeout, way) as client:
                _, output, errors = client.exec_command(COMMAND, timeout=timeout)
                # recv_exit_status() alone would wait for ever, and with it the run whose change is to be undone.
                if not output.channel.status_event.wait(timeout):
                    raise TimeoutError(f"`{COMMAND}` has not ended after {timeout:g} s")
                status = output.channel.recv_exit_status()
                said = errors.read(COMPLAINED).decode(errors="replace").strip()
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise _failed(target, error, way) from error
    if status != 0:
        raise MachineUnreachable(f"{target.user} can log in, but `{COMMAND}` fails.", said)


def _failed(target: Target, error: Exception, way: Connection | None) -> MachineUnreachable:
    details = f"{type(error).__name__}: {error}"
    if way is not None:
        details += f"\n{process.describe(target.proxy_command)}\n{way.said()}"
    return MachineUnreachable(
        f"A new login as {target.user} at {target.address} port {target.port} fails.", details.strip()
    )


@contextlib.contextmanager
def _way(target: Target) -> Iterator[Connection | None]:
    """The program that leads to the machine, where there is one. It ends with the login."""
    if not target.proxy_command:
        yield None
        return
    with connected(target.proxy_command) as way:
        yield way


@contextlib.contextmanager
def _login(target: Target, timeout: float, way: Connection | None) -> Iterator[paramiko.SSHClient]:
    patience = timeout if way is None else timeout + PROXY_TIMEOUT
    with paramiko.SSHClient() as client:
        client.set_missing_host_key_policy(paramiko.RejectPolicy())
        pin_host_keys(client.get_host_keys(), target)
        client.connect(
            target.address, target.port, target.user, pkey=_key(target.private_key),
            look_for_keys=False, allow_agent=False, sock=way.socket if way else None,
            timeout=timeout, banner_timeout=patience, auth_timeout=timeout, channel_timeout=timeout,
        )  # fmt: skip
        yield client


def pin_host_keys(keys: paramiko.HostKeys, target: Target) -> None:
    """Our file names the machine, paramiko looks for the address: give it the same keys under that name."""
    name = target.address if target.port == 22 else f"[{target.address}]:{target.port}"
    for key in pinned(target.known_hosts):
        kind, data = key.split()[:2]
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
