"""A machine that was just made or started, behind a tunnel: when does it admit us."""

import time

from hangar import process
from hangar.cloud.base import Cloud, Report, Server
from hangar.cloud.startup import FINISHED
from hangar.errors import CommandFailed, HangarError, MachineUnreachable
from hangar.ssh import call, known_hosts

LIMIT = 600.0
"""Seconds from its start to the first login: it boots, and its start-up script makes the operator's account."""

SCRIPT_LIMIT = 300.0
"""Seconds from the first login until the start-up script is through: it finds, checks and mounts the data disk."""

REFUSED = 120.0
"""Seconds for which a machine that was there before may refuse the key: longer, and it is not admitted. Also those for
which a new one may show another host key: sshd may run before the agent has made its keys.
"""

LOGIN = 60.0
"""Seconds that one login may take."""

PAUSE = 3.0
"""Seconds between two: sshd holds off who fails often."""

QUICK, QUICK_FOR = 1.0, 30.0
"""Seconds between two while sshd does not answer yet, or the start-up script is not through, and for how long: those
sshd does not count, and the last of them is what the way in takes beyond the boot.
"""

GROW = "/usr/local/sbin/hangar-grow"
"""On a machine whose /srv is a disk of its own: makes the file system as large as the disk."""

NOT_GROWN = 3
"""How a login ends where that failed."""

READY = f"test -e {FINISHED} || exit 1; ! test -x {GROW} || sudo -n {GROW} || exit {NOT_GROWN}"
"""The start-up script is through; and where /srv is a disk of its own, its file system is as large as the disk."""


def wait(server: Server, cloud: Cloud, report: Report, *, is_new: bool = True) -> None:
    """Returns when a login works and the start-up script has finished. Without a tunnel the cloud has seen to that,
    and a machine behind a jump host was there before.
    A machine that is not new has no reason to refuse a key that it will admit, or to show another host key.

    Raises:
        MachineUnreachable: nobody is admitted within `LIMIT`, or the script is not through `SCRIPT_LIMIT` later; with
            what the last login said and the end of the machine's console. Or another machine seems to answer.
        HangarError: the file system under /srv is not as large as its disk; with what the machine said.
    """
    if server.jump or not server.proxy_command:
        return
    report("wait for SSH and the start-up script")
    argv = call.argv(server, READY)
    began = time.monotonic()
    until, quick_until, is_in = began + LIMIT, began + QUICK_FOR, False
    while True:
        tried = _try(argv)
        if tried.returncode == 0:
            return
        if tried.returncode == NOT_GROWN:
            raise _not_grown(server, tried)
        now = time.monotonic()
        if tried.returncode != call.NO_LOGIN and not is_in:
            until, quick_until, is_in = now + SCRIPT_LIMIT, now + QUICK_FOR, True
        _require_itself(server, tried, is_new=is_new, waited=now - began)
        if now > until:
            raise _never(server, cloud, tried, is_in=is_in)
        time.sleep(QUICK if now < quick_until and not _counts(tried) else PAUSE)


def _counts(tried: process.Completed) -> bool:
    """Whether sshd holds this login against whoever comes from here: it got as far as a key."""
    return "Permission denied" in tried.stderr or known_hosts.is_another_key(tried.stderr)


def _require_itself(server: Server, tried: process.Completed, *, is_new: bool, waited: float) -> None:
    """Raises MachineUnreachable where more waiting is in vain: another host key, or a key that is not admitted."""
    if known_hosts.is_another_key(tried.stderr) and (not is_new or waited > REFUSED):
        raise _another(server, tried)
    if "Permission denied" in tried.stderr and not is_new and waited > REFUSED:
        raise _not_admitted(server, tried)


def _another(server: Server, tried: process.Completed) -> MachineUnreachable:
    env = server.environment
    return MachineUnreachable(
        f"What answers as {server.name} does not show the SSH host key that it was made with; nothing was sent to it.",
        known_hosts.shown_and_pinned(server.host_keys, tried.stderr),
        "A stranger may be answering. If somebody changed the keys on the machine, put the old ones back, or make it"
        f" anew (what is under /srv stays): ./provision.py destroy {env}, then ./provision.py up {env}",
    )


def _not_admitted(server: Server, tried: process.Completed) -> MachineUnreachable:
    env = server.environment
    return MachineUnreachable(
        f"{server.name} does not admit your key.",
        f"* The last login said: {tried.stderr.strip()}",
        "Let an admin give you an entry in `people` with your key (role admin): ./provision.py people add NAME"
        f" {env} --role admin --key FILE (docs/google-cloud.md, Another operator). If no admin is left, make it anew"
        f" around its data (what is under /srv stays): ./provision.py destroy {env}, then ./provision.py up {env}",
    )


def _not_grown(server: Server, tried: process.Completed) -> HangarError:
    said = f"{tried.stdout}\n{tried.stderr}".split("\n")
    return HangarError(
        f"The file system under /srv of {server.name} did not grow with its disk; what is in it is as it was.",
        "\n".join(["* The machine said:", *(f"  {line}" for line in said if line.strip())]),
        f"Look at it on the machine (./provision.py ssh {server.environment}): sudo {GROW}"
        "\nThen run the same command again.",
    )


def _try(argv: list[str]) -> process.Completed:
    """One login; one that hangs is one that failed."""
    try:
        return process.bounded(argv, input="", check=False, timeout=LOGIN)
    except CommandFailed as hung:
        return process.Completed(tuple(argv), call.NO_LOGIN, "", hung.brief)


def _never(server: Server, cloud: Cloud, tried: process.Completed, *, is_in: bool) -> MachineUnreachable:
    env = server.environment
    if is_in:
        late = f"{SCRIPT_LIMIT / 60:.0f} minutes after the first login"
        what = f"The start-up script of {server.name} is not through {late}."
    else:
        what = f"{server.name} admits nobody, {LIMIT / 60:.0f} minutes after its start."
    said = tried.stderr.strip() or "nothing"
    return MachineUnreachable(
        what,
        f"* The last login said: {said}\n* The end of the machine's console:\n{cloud.console()}",
        f"Run the same command again; ./provision.py ssh {env} shows more once it answers.",
    )
