# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""The roles' passwords: made once on this machine, one file a role, and what Postgres keeps of them."""

import base64
import hashlib
import hmac
import os
import secrets
from pathlib import Path

from secret_files import is_right, keep

from .described import SECRETS, Described, Refused

ITERATIONS = 4096
"""As Postgres itself takes (scram_iterations)."""


def look(described: Described, folder: Path = SECRETS) -> list[str]:
    """The roles whose file is missing or has other rights than it should."""
    return [
        name
        for name, value in wanted(described, folder).items()
        if not _is_right(described, folder, name, value)
    ]


def ensure(described: Described, folder: Path = SECRETS) -> None:
    """Make what is missing; what is there keeps its value."""
    for name, value in wanted(described, folder).items():
        if not _is_right(described, folder, name, value):
            keep(folder / name, value, described.roles[name].group)


def renew(described: Described, role: str, folder: Path = SECRETS) -> None:
    """Make a new password; Postgres takes it with the next `ensure`."""
    keep(folder / role, secrets.token_urlsafe(32), described.roles[role].group)


def _is_right(described: Described, folder: Path, name: str, value: str) -> bool:
    try:
        return is_right(folder / name, value, described.roles[name].group)
    except KeyError:
        group = described.roles[name].group
        raise Refused(
            f"warehouse_secret_groups: {name}: there is no group {group!r} on this machine."
        ) from None


def wanted(described: Described, folder: Path = SECRETS) -> dict[str, str]:
    """Each role with its password; what is not there yet is new at every call."""
    return {name: read(folder / name) or secrets.token_urlsafe(32) for name in described.roles}


def kept_of(described: Described, folder: Path = SECRETS) -> dict[str, str]:
    """Each role with its password, all of which have to be there."""
    return {name: read(folder / name) or _missing(folder / name) for name in described.roles}


def _missing(path: Path) -> str:
    raise Refused(f"{path} is not there. Make it with: sudo warehouse ensure secrets")


def read(path: Path) -> str:
    """A secret, or nothing where there is none."""
    return path.read_text().strip() if path.is_file() and not path.is_symlink() else ""


def verifier(password: str, salt: bytes | None = None, iterations: int = ITERATIONS) -> str:
    """What Postgres stores instead of the password (RFC 5803), made here so that the password need not go there."""
    salt = os.urandom(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    parts = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${iterations}:{parts[0]}${parts[1]}:{parts[2]}"


def fits(password: str, stored: str | None) -> bool:
    """Tell whether what Postgres stores is of this password."""
    try:
        _, numbers, _ = (stored or "").split("$")
        iterations, salt = numbers.split(":")
        made = verifier(password, base64.b64decode(salt), int(iterations))
    except ValueError:
        return False
    return hmac.compare_digest(made, stored or "")
