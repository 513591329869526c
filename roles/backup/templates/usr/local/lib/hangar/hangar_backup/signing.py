# Written by Hangar (role backup). Changes made here are lost at the next run.
"""An index is signed by a key that only this machine has: anybody may encrypt to a public key, and who takes the
backups may say what they like of them. The key itself is in no backup.
"""

from dataclasses import replace

from .described import SIGNING_KEY, Described
from .records import Backup, plain
from .running import run

NAMESPACE = "hangar-backup"


def ensure(described: Described) -> None:
    """Make the key where there is none."""
    if not SIGNING_KEY.exists():
        SIGNING_KEY.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        comment = f"{described.machine} signs backups"
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", SIGNING_KEY]
        run(argv, "Making a key")


def public_key() -> str:
    """What proves the signatures; "" while there is no key."""
    public = SIGNING_KEY.with_suffix(".pub")
    return " ".join(public.read_text().split()[:2]) if public.is_file() else ""


def signed(described: Described, backup: Backup) -> Backup:
    """The index with its signature.

    Raises:
        Refused: it cannot be signed.
    """
    ensure(described)
    argv = ["ssh-keygen", "-Y", "sign", "-q", "-f", SIGNING_KEY, "-n", NAMESPACE]
    return replace(backup, signature=run(argv, "Signing the index", text=plain(backup)))
