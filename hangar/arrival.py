"""A machine that was just made or started, behind a tunnel: when does it admit us."""

import time

from hangar import paths, process
from hangar.cloud.base import Cloud, Report, Server
from hangar.cloud.startup import FINISHED
from hangar.errors import CommandFailed, MachineUnreachable

LIMIT = 600.0
"""Seconds from its start: it boots, its start-up script makes the operator's account and mounts the data disk."""

REFUSED = 120.0
"""Seconds for which a machine that was there before may refuse the key: longer, and it is not admitted."""

LOGIN = 60.0
"""Seconds that one login may take."""

PAUSE = 3.0
"""Seconds between two: sshd holds off who fails often."""

READY = f"test -e {FINISHED} && {{ ! test -x /usr/local/sbin/hangar-grow || sudo -n /usr/local/sbin/hangar-grow; }}"
"""The start-up script is through; and where /srv is a disk of its own, its file system is as large as the disk."""


def wait(server: Server, cloud: Cloud, report: Report, *, is_new: bool = True) -> None:
    """Returns when a login works and the start-up script has finished. Without a tunnel the cloud has seen to that.
    A machine that is not new has no reason to refuse a key that it will admit.

    Raises:
        MachineUnreachable: not within `LIMIT`; with what the last login said and the end of the machine's console.
    """
    if not server.proxy_command:
        return
    report("wait for SSH and the start-up script")
    argv = ["ssh", "-F", str(paths.ssh_config(server.environment)), "-o", "BatchMode=yes", server.name, READY]
    began = time.monotonic()
    until = began + LIMIT
    while True:
        tried = _try(argv)
        if tried.returncode == 0:
            return
        if not is_new and "Permission denied" in tried.stderr and time.monotonic() > began + REFUSED:
            raise _not_admitted(server, tried)
        if time.monotonic() > until:
            raise _never(server, cloud, tried)
        time.sleep(PAUSE)


def _not_admitted(server: Server, tried: process.Completed) -> MachineUnreachable:
    return MachineUnreachable(
        f"{server.name} does not admit your key.",
        f"* The last login said: {tried.stderr.strip()}",
        "Use the key that it admits: access.private_key (docs/google-cloud.md, Another operator).",
    )


def _try(argv: list[str]) -> process.Completed:
    """One login; one that hangs is one that failed."""
    try:
        return process.run(argv, check=False, timeout=LOGIN)
    except CommandFailed as hung:
        return process.Completed(tuple(argv), 255, "", hung.brief)


def _never(server: Server, cloud: Cloud, tried: process.Completed) -> MachineUnreachable:
    env = server.environment
    if tried.returncode == 255:
        what = f"{server.name} admits nobody, {LIMIT / 60:.0f} minutes after its start."
    else:
        what = f"The start-up script of {server.name} is not through after {LIMIT / 60:.0f} minutes."
    said = tried.stderr.strip() or "nothing"
    return MachineUnreachable(
        what,
        f"* The last login said: {said}\n* The end of the machine's console:\n{cloud.console()}",
        f"Run the same command again; ./provision.py ssh {env} shows more once it answers.",
    )
