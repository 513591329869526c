"""The text that makes ssh and editors know a machine as hangar-<env>: for Linux and macOS, or for Windows."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain, pairwise
from pathlib import Path, PureWindowsPath

from hangar.cloud.base import Server
from hangar.errors import HangarError
from hangar.ssh import client_config, shared, tunnel
from hangar.ssh.login import Login

RELAY = ("hangar", "cloud", "gcp", "relay")
"""Where the relay is in a checkout."""

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


def windows_text(server: Server, forwards: Sequence[tunnel.Forward], login: Login, relay: str = "") -> str:
    """The same for Windows' own ssh, which has no sockets to share a connection by, and starts a proxy command without
    a shell. Everything that it names lies in the account's own .ssh folder, or is on Windows' PATH; but for the relay
    in `relay`, a checkout on Windows, where that is given.

    Raises:
        HangarError: the key's path cannot stand in an ssh configuration, or there is no way to the machine.
    """
    if any(char in login.key for char in '"\r\n'):
        raise HangarError(f"ssh cannot be told of a path with quotes or line breaks: {login.key!r}")
    login = replace(login, key=login.key.replace("\\", "/"))
    if server.jump is None:
        server = replace(server, proxy_command=_on_windows(server.proxy_command, relay))
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


def _on_windows(argv: tuple[str, ...], relay: str) -> tuple[str, ...]:
    """Google's own program stands for ours, since this checkout's Python is not Windows'; or our relay, in a checkout
    of Windows' own, with the Python of the environment beside it.

    Raises:
        HangarError: the way leads through a tunnel endpoint of the user's own, which Google's program does not know;
            or the checkout is not named as Windows names a folder.
    """
    if not argv:
        return ()
    target = _target(argv)
    if relay:
        there = PureWindowsPath(relay)
        if not there.is_absolute():
            raise HangarError(
                f"{relay!r} is no folder as Windows names one.",
                resolution=r"Say it like C:\Users\Anna\hangar.",
            )
        python, ours = there / ".venv" / "Scripts" / "python.exe", there.joinpath(*RELAY)
        return (str(python), "-I", str(ours), *chain.from_iterable(target.items()))
    if "--endpoint" in target:
        raise HangarError(
            "A tunnel endpoint of your own (gcp.tunnel_endpoint) has no way for Windows' ssh by gcloud.",
            resolution="Hangar's relay knows the way: --relay CHECKOUT (docs/editor.md, Windows)",
        )
    return (
        "gcloud.cmd", "compute", "start-iap-tunnel", target["--instance"], target["--port"], "--listen-on-stdin",
        "--project", target["--project"], "--zone", target["--zone"], "--network-interface", target["--interface"],
        "--verbosity", "warning",
    )  # fmt: skip


def _target(argv: tuple[str, ...]) -> dict[str, str]:
    """Where a proxy command of cloud/gcp/iap.py leads, in the relay's own options, whichever program it names."""
    said = dict(pairwise(argv))
    if "start-iap-tunnel" in argv:
        at = argv.index("start-iap-tunnel")
        said |= {
            "--instance": argv[at + 1],
            "--port": argv[at + 2],
            "--interface": said["--network-interface"],
        }
    names = ("--project", "--zone", "--instance", "--port", "--interface", "--endpoint")
    return {name: said[name] for name in names if name in said}
