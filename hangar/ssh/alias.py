"""The text that makes ssh and editors know a machine as hangar-<env>: for Linux and macOS, or for Windows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import client_config, shared, tunnel
from hangar.ssh.login import Login

HEADER = "# Written by `./provision.py ssh-config`; changes are lost. Remove it with `--remove`.\n"


def text(server: Server, private_key: Path, forwards: Sequence[tunnel.Forward], login: Login | None) -> str:
    """The machine's Host block with a connection that sessions share, and the forwards for sessions that find none
    open in the background.
    """
    block = client_config.render(server, private_key, login, more=shared.lines(server.environment))
    if not forwards:
        return HEADER + block
    condition = f'Match originalhost {server.name} exec "! {tunnel.check_command(server.environment)}"'
    return HEADER + block + "\n  ".join([condition, *_forwards(forwards)]) + "\n"


def windows_text(server: Server, forwards: Sequence[tunnel.Forward], login: Login) -> str:
    """The same for Windows' own ssh, which has no sockets to share a connection by, and starts a proxy command without
    a shell. Everything that it names lies in the account's own .ssh folder, or is on Windows' PATH.

    Raises:
        HangarError: the key's path cannot stand in an ssh configuration.
    """
    if any(char in login.key for char in '"\r\n'):
        raise HangarError(f"ssh cannot be told of a path with quotes or line breaks: {login.key!r}")
    login = replace(login, key=login.key.replace("\\", "/"))
    if server.jump is None:
        server = replace(server, proxy_command=_on_windows(server.proxy_command))
    known = f"~/.ssh/{known_hosts_name(server.environment)}"
    block = client_config.render(
        server, Path(login.key), login, known_hosts=known, more=_forwards(forwards), windows=True
    )
    return HEADER + block


def known_hosts_name(env: str) -> str:
    """Beside the folder of include files, not in it: ssh would read it as settings."""
    return f"hangar-{env}.known_hosts"


def _forwards(forwards: Sequence[tunnel.Forward]) -> list[str]:
    return [f"LocalForward 127.0.0.1:{forward.local} 127.0.0.1:{forward.remote}" for forward in forwards]


def _on_windows(argv: tuple[str, ...]) -> tuple[str, ...]:
    """Google's own program stands for ours: this checkout's Python is not Windows'.

    Raises:
        HangarError: the way leads through a relay of the user's own.
    """
    if not argv:
        return ()
    if "start-iap-tunnel" in argv:
        return ("gcloud.cmd", *argv[1:])
    if "--endpoint" in argv:
        raise HangarError("A tunnel endpoint of your own (gcp.tunnel_endpoint) has no way for Windows' ssh.")
    said = dict(pairwise(argv))
    return (
        "gcloud.cmd", "compute", "start-iap-tunnel", said["--instance"], said["--port"], "--listen-on-stdin",
        "--project", said["--project"], "--zone", said["--zone"], "--network-interface", said["--interface"],
        "--verbosity", "warning",
    )  # fmt: skip
