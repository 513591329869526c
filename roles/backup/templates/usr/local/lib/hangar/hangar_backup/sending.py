# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Encrypted objects go to where they can be added and neither read, replaced nor removed: to a bucket of Cloud Storage,
or to another host by SFTP.
"""

import time
from collections.abc import Sequence
from pathlib import Path

from . import bucket
from .described import KNOWN_HOSTS, SENDING_KEY, SPOOL, Bucket, Host, Refused
from .running import Failed, TookTooLong, last_words, run

HOURS = 6.0
"""A transfer that takes longer is given up; the next backup sends all that the host lacks."""

SILENCE = 15
"""Seconds after which a host that says nothing is asked for a sign; four questions without an answer end it."""

REASONS = (
    (
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its key has changed: it may be another machine. Nothing was sent",
    ),
    ("Host key verification failed", "its key is not the one that platform.yml names. Nothing was sent"),
    ("Permission denied (", "it does not let this machine in (its public key: sudo backup key)"),
    ("Permission denied", "it lets nothing be written into the folder, or has a file of that name"),
    ("No such file or directory", "the folder is not there"),
    ("Connection refused", "nothing answers there"),
    ("timed out", "it does not answer"),
    ("not responding", "it stopped answering"),
    ("No route to host", "there is no way to it"),
    ("Could not resolve", "its name leads nowhere"),
    ("Failure", "it takes no more data; it may be full"),
    ("Connection closed", "it ended the connection"),
)
"""What OpenSSH says, and what it means. The first that fits counts."""


def send(target: Host | Bucket, names: Sequence[str], spool: Path = SPOOL) -> None:
    """Put the objects there in this order; the index comes last, so that what is listed there is whole.

    Raises:
        Refused: with the reason in words.
    """
    try:
        if isinstance(target, Bucket):
            bucket.send(target, names, time.monotonic() + HOURS * 3600, spool)
        else:
            batch = "".join(f'put "{spool / name}" "{target.folder}/{name}"\n' for name in names)
            run(argv(target), "Sending", text=batch, timeout=HOURS * 3600)
    except Failed as problem:
        said = reason(problem.said)
    except TookTooLong:
        said = f"it took more than {HOURS:g} hours; the way is slow"
    except Refused as problem:
        said = str(problem)
    else:
        return
    raise Refused(f"The backup was not sent to {target.name}: {said}")


def reason(said: str) -> str:
    """OpenSSH's words as a sentence."""
    return next((words for mark, words in REASONS if mark in said), last_words(said) or "it gave no reason")


def argv(host: Host) -> list[str]:
    """The client: one key, one known host, no question."""
    options = {
        "BatchMode": "yes", "IdentitiesOnly": "yes", "IdentityFile": SENDING_KEY, "ConnectTimeout": 20,
        "UserKnownHostsFile": KNOWN_HOSTS, "GlobalKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "yes",
        "ServerAliveInterval": SILENCE, "ServerAliveCountMax": 4,
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    return ["sftp", "-F", "none", *words, "-b", "-", "-P", str(host.port), f"{host.user}@{host.host}"]
