"""The way from this computer to a working editor on the machine: each step, what it means, and the cure."""

import re
import shlex
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from hangar import process
from hangar.checks import editor_server
from hangar.checks.finding import Finding, ok
from hangar.cloud.gcp import iap
from hangar.editor import program
from hangar.errors import CommandFailed
from hangar.ssh import client_config, include, jump, proxy
from hangar.ssh.call import PENALTY, TOO_MANY

PATIENCE = 5.0
"""Seconds for everything that is asked over the network; it is asked at once."""

CONNECT = 4
"""Seconds for one connection."""

WINDOWS_DISK = re.compile(r"/mnt/[a-z]/(?:(?P<home>Users/[^/]+)/)?")
"""Where WSL has Windows' disks, and the home of a Windows account that a program was installed for."""


@dataclass(frozen=True)
class Tried:
    """What ssh said while it logged in (`-v`), and what the machine answered."""

    said: str
    answer: str


def look(env: str) -> list[Finding]:
    """The steps in order, as far as one leads to the next; changes nothing.

    Raises:
        FileNotFoundError: this computer was never told of the machine.
    """
    config = client_config.of(env)
    settings = client_config.read(config)
    if not client_config.knows(env):
        moved = f"{config} names the files of a checkout in another folder"
        return [Finding("Settings", "missing", moved, f"./provision.py ssh-config {env}")]
    mine = key(env, settings)
    steps = [known_by_name(env), editor(env), mine]
    if mine.state == "missing":
        return steps
    with ThreadPoolExecutor(3) as pool:
        port = pool.submit(reach, env, settings)
        login = pool.submit(log_in, env, config)
        forward = pool.submit(forwarded, env, config)
        tried = login.result()
        found = connection(env, settings, port.result(), tried)
        steps += found
        if any(step.state == "missing" for step in found):
            return steps
        return [*steps, forward.result(), *editor_server.findings(env, tried.answer)]


def known_by_name(env: str) -> Finding:
    name = "Name for ssh"
    if include.include_file(env).exists() and include.is_included():
        return ok(name, f"hangar-{env} stands in ~/.ssh/config.d, where editors look for it")
    return Finding(
        name, "warning", f"hangar-{env} is not in ~/.ssh/config: an editor does not find it",
        f"./provision.py ssh-config {env}",
    )  # fmt: skip


def editor(env: str) -> Finding:
    """VS Code on this computer. In WSL it is Windows' own, and asks Windows' ssh, which knows nothing of this home."""
    name, found = "VS Code", program.find()
    if not found:
        return Finding(
            name, "warning", "not installed here, or `code` is not on the PATH", program.install_hint()
        )
    of_windows = WINDOWS_DISK.match(found)
    if not of_windows:
        return ok(name, found)
    home = Path(found[: of_windows.end("home")]) if of_windows["home"] else None
    if home and include.include_file(env, home / ".ssh").exists():
        return ok(name, f"{found}, whose ssh knows hangar-{env} too")
    at = shlex.quote(f"{home or '/mnt/c/Users/NAME'}/.ssh")
    return Finding(
        name, "warning", f"{found} is Windows' own: its ssh reads the settings of a Windows account, not these",
        f"./provision.py ssh-config {env} --user NAME --key 'C:\\…' --windows {at} (docs/editor.md, Windows)",
    )  # fmt: skip


def key(env: str, settings: dict[str, str]) -> Finding:
    """The private key lies here, and ssh will not refuse it for its rights."""
    path = client_config.unquote(settings["IdentityFile"])
    if not path.is_file():
        return Finding(
            "Key", "missing", f"{path} is not there: nothing would be offered",
            f"Name yours: ./provision.py ssh-config {env} --user NAME --key PATH",
        )  # fmt: skip
    if path.stat().st_mode & 0o077:
        return Finding(
            "Key", "missing", f"others may read {path}: ssh refuses to use it", f"chmod 600 {path}"
        )
    return ok("Key", str(path))


def reach(env: str, settings: dict[str, str]) -> Finding:
    """The name has an address, and something that speaks SSH answers there; or there is a program that leads on."""
    if "ProxyCommand" in settings:
        words = proxy.words(settings["ProxyCommand"])
        if passed := jump.leads(words):
            return ok("Way", f"over {passed}")
        name = "Hangar's relay" if iap.is_relay(words) else Path(words[0]).name if words else "a program"
        return ok("Way", f"through {name}")
    if "ProxyJump" in settings:
        return ok("Way", f"over {settings['ProxyJump']}")
    host, port = settings["HostName"], int(settings["Port"])
    where = f"{host} port {port}"
    try:
        with socket.create_connection((host, port), timeout=CONNECT) as connection:
            banner = connection.recv(64).decode(errors="replace")
    except socket.gaierror:
        return Finding(
            "Address", "missing", f"{host} has no address: the name is wrong, or DNS does not answer",
            "Look at existing.address in platform.yml, and at your network or VPN.",
        )  # fmt: skip
    except OSError as error:
        why = error.strerror or str(error)
        return Finding(
            "Port", "missing", f"{where}: {why}; the machine is off, or a firewall is in between",
            f"See ./provision.py status {env}; your network must be in access.ssh_sources.",
        )  # fmt: skip
    if turned_away := _turned_away(env, banner):
        return Finding("Port", "missing", f"{where} {turned_away[0]}", turned_away[1])
    if not banner.startswith("SSH-"):
        return Finding(
            "Port", "missing", f"{where} answers, but not as SSH: somebody is in between",
            "Try another network, without a proxy or a portal.",
        )  # fmt: skip
    return ok("Port", f"{where} speaks SSH")


def _turned_away(env: str, said: str) -> tuple[str, str] | None:
    """What sshd says before its name to an address that it does not want now, and what to do about it."""
    if PENALTY in said:
        return (
            "turns this computer's address away for a while: logins from it have failed (PerSourcePenalties)",
            "Wait ten minutes: no penalty lasts longer. An editor or a script that goes on with a wrong key renews it.",
        )
    if TOO_MANY in said:
        return (
            "has too many logins under way and drops more of them",
            f"Wait a minute. If it goes on, something tries to log in all the time: ./provision.py logs ssh {env}",
        )
    return None


def log_in(env: str, config: Path) -> Tried:
    """One login that notes its steps and asks the machine everything in one go."""
    argv = ["ssh", "-v", "-F", str(config), "-S", "none", "-o", "BatchMode=yes",
            "-o", f"ConnectTimeout={CONNECT}", f"hangar-{env}", "sh -s"]  # fmt: skip
    try:
        done = process.bounded(argv, check=False, input=editor_server.SCRIPT, timeout=PATIENCE)
    except CommandFailed as error:
        # How far it came says what it waits for: a touch of the key, the account's start-up files, or on a slow way
        # the last of the answers.
        said, answer = (getattr(error.__cause__, part, "") for part in ("complaint", "said"))
        return Tried(f"{said}\n{error.brief}\n", answer)
    return Tried(done.stderr, done.stdout)


def forwarded(env: str, config: Path) -> Finding:
    """A forward to the machine's loopback, which is what an editor talks through."""
    name = "Forwards"
    argv = ["ssh", "-F", str(config), "-S", "none", "-o", "BatchMode=yes", "-o", f"ConnectTimeout={CONNECT}",
            "-W", "127.0.0.1:22", f"hangar-{env}"]  # fmt: skip
    try:
        done = process.bounded(argv, check=False, input="\n", timeout=PATIENCE)
    except CommandFailed:
        return Finding(name, "warning", f"no answer within {PATIENCE:g} s", f"./provision.py doctor {env}")
    if done.stdout.startswith("SSH-"):
        return ok(name, "an editor reaches the ports on the machine's loopback")
    return Finding(
        name, "missing", "the machine refuses forwards: VS Code connects and then hangs",
        f"AllowTcpForwarding local is the role ssh_server's: ./provision.py up {env}",
    )  # fmt: skip


def connection(env: str, settings: dict[str, str], port: Finding, tried: Tried) -> list[Finding]:
    """The steps of the login, read from what ssh said."""
    if port.state == "missing":
        return [port]
    said = tried.said
    if turned_away := _turned_away(env, said):
        return [Finding(port.name, "missing", f"{port.detail}: sshd there {turned_away[0]}", turned_away[1])]
    if jump.leads(proxy.words(settings.get("ProxyCommand", ""))) and jump.is_in_the_way(said):
        what, cure = jump.why(said)
        return [Finding(port.name, "missing", f"{port.detail}: {what}", cure)]
    if "Remote protocol version" not in said and "Host key verification failed" not in said:
        return [
            Finding(port.name, "missing", f"it leads nowhere: {_last(said)}", f"./provision.py status {env}")
        ]
    return [port, *_authenticated(env, settings, said)]


def _authenticated(env: str, settings: dict[str, str], said: str) -> Iterator[Finding]:
    shown = re.search(r"Server host key: (\S+ \S+)", said)
    if "Host key verification failed" in said:
        yield Finding(
            "Host key", "missing", f"{shown[1] if shown else 'it'} is not the pinned one: a new machine, or a stranger",
            f"If somebody made it anew: ./provision.py ssh-config {env} pins the new key. If nobody did, stop here.",
        )  # fmt: skip
        return
    yield ok("Host key", f"{shown[1]}, as pinned" if shown else "as pinned")
    user, path = settings["User"], settings["IdentityFile"]
    if re.search(r"^Authenticated to ", said, re.MULTILINE):
        yield ok("Login", f"{user}, by this key")
    elif re.search(r"Server accepts key: .*-SK ", said):
        yield Finding(
            "Login", "missing",
            "the machine knows the key, but its hardware did not sign: not plugged in, or not touched",
            f"Plug it in, and touch it when it blinks: ssh hangar-{env}",
        )  # fmt: skip
    elif "Server accepts key" in said:
        yield Finding(
            "Login", "missing", "the machine knows the key, but it has a passphrase and no agent holds it",
            f"ssh-add {path}",
        )  # fmt: skip
    else:
        what = "was offered and refused" if "Offering public key" in said else "was not even offered"
        yield Finding(
            "Login", "missing", f"the key {what} for {user}: it is not on the machine, or the account may not log in",
            f"{_admitted(env, user, client_config.unquote(path))}\nOr name another key: ./provision.py ssh-config {env}"
            " --user NAME --key PATH",
        )  # fmt: skip


def _admitted(env: str, user: str, path: Path) -> str:
    """How the key that was refused becomes somebody's."""
    if client_config.is_operators(env):
        return (
            f"Ask an admin for an entry: ./provision.py people add NAME {env} --role admin --key {path}.pub"
        )
    return f"Ask an admin to let it in: ./provision.py people key {user} {env} --key {path}.pub"


def _last(said: str) -> str:
    lines = [line for line in said.splitlines() if line and not line.startswith(("debug1:", "OpenSSH_"))]
    return lines[-1] if lines else "ssh said nothing"
