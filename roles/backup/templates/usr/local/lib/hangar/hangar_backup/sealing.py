# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Encryption to the operators' public keys: this machine cannot read what it has sealed."""

import hashlib
from pathlib import Path

from .described import RECIPIENTS, Refused
from .records import Sealed
from .running import run, sync


def seal(plain: Path, part: str, identifier: str, spool: Path, tables: int = 0) -> Sealed:
    """Encrypt a file into the spool, whole or not at all.

    Raises:
        Refused: there is no public key, or no room.
    """
    if not RECIPIENTS.is_file() or not RECIPIENTS.read_text().strip():
        raise Refused("There is no public key to encrypt to; ./provision.py up puts one here")
    place = spool / f"{part}-{identifier}.age"
    fresh = spool / f".{place.name}.new"
    fresh.unlink(missing_ok=True)
    try:
        run(
            ["age", "--encrypt", "--recipients-file", RECIPIENTS, "--output", fresh, plain],
            f"Encrypting {part}",
        )
        sync(fresh)
        fresh.rename(place)
    finally:
        fresh.unlink(missing_ok=True)
    return Sealed(part, place.name, place.stat().st_size, digest(place), identifier, tables)


def digest(path: Path) -> str:
    """A file's SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
