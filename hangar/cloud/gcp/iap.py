"""The way to an instance that has no address: a program whose standard input and output are a connection to it."""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from hangar import process
from hangar.errors import HangarError
from hangar.paths import REPO

if TYPE_CHECKING:
    from hangar.config.gcp import Tunnel

OWN_LOGIN = "GOOGLE_APPLICATION_CREDENTIALS"
"""Names a login that Hangar uses, and gcloud does not."""

PORT, INTERFACE = "22", "nic0"
"""Where the machine's sshd is: an instance of ours has one interface, and the firewall admits to no other port."""

PATIENCE = 15.0
"""Seconds for gcloud to name its account: its first call on a computer is slow."""


@dataclass(frozen=True)
class Choice:
    """Which program makes the tunnel, and why. Without `gcloud` it is our own relay."""

    gcloud: str
    why: str


def choose(means: "Tunnel" = "auto", endpoint: str | None = None) -> Choice:
    """Gcloud only where its own login is there, or where it was asked for by name; an `endpoint` of your own is for our
    relay alone. The relay uses the login that Hangar's calls use, so it works wherever those do.
    """
    if endpoint:
        return Choice("", "gcp.tunnel_endpoint is for it alone")
    if means == "relay":
        return Choice("", "gcp.tunnel says so")
    program = shutil.which("gcloud")
    if means == "gcloud":
        return Choice(program or "gcloud", "gcp.tunnel says so")
    if program is None:
        return Choice("", "gcloud is not installed")
    if os.environ.get(OWN_LOGIN):
        return Choice("", f"{OWN_LOGIN} is set, which gcloud does not use")
    account = account_of(program)
    return Choice(program, f"logged in as {account}") if account else Choice("", "gcloud has no login")


@cache
def account_of(program: str) -> str:
    """Whom gcloud is logged in as; nobody too where it does not say."""
    argv = [program, "auth", "list", "--filter=status:ACTIVE", "--format=value(account)"]
    try:
        done = process.run(argv, check=False, timeout=PATIENCE)
    except HangarError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def proxy_command(
    project: str,
    zone: str,
    instance: str,
    *,
    endpoint: str | None = None,
    means: "Tunnel" = "auto",
) -> tuple[str, ...]:
    """The words of the program that `choose` names.

    Both take everything by their arguments but the credentials: gcloud its own login, the relay the application
    default credentials. They may be called from any folder.
    """
    chosen = choose(means, endpoint)
    if chosen.gcloud:
        return (
            chosen.gcloud, "compute", "start-iap-tunnel", instance, PORT, "--listen-on-stdin",
            "--project", project, "--zone", zone, "--network-interface", INTERFACE, "--verbosity", "warning",
        )  # fmt: skip
    return (
        sys.executable, "-I", str(_relay()), "--project", project, "--zone", zone, "--instance", instance,
        "--port", PORT, "--interface", INTERFACE, *(("--endpoint", endpoint) if endpoint else ()),
    )  # fmt: skip


def is_relay(words: Sequence[str]) -> bool:
    """Whether a proxy command is our own relay."""
    return str(_relay()) in words


def _relay() -> Path:
    return REPO / "hangar" / "cloud" / "gcp" / "relay"
