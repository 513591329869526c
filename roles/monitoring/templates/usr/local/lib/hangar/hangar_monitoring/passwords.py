# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""Two passwords, made once: people's, and the one that Prometheus asks its sources with."""

import ctypes
import os
import re
import secrets
from pathlib import Path

from secret_files import MODE, is_right, keep

from .described import ACCOUNT, SCRAPER, SECRETS, Refused

# Each user of the web servers, and the file that holds the password in clear.
USERS = {"admin": "admin_password", SCRAPER: "scraper_password"}
WEB = SECRETS / "web.yml"
ROUNDS = 8  # of bcrypt; the passwords are 32 random bytes, which no number of guesses finds


def look() -> list[str]:
    """The files that are missing or not as they should be."""
    found = [str(path) for path in map(SECRETS.joinpath, USERS.values()) if not _is_there(path)]
    return found if found or _web_is_right() else [str(WEB)]


def _is_there(path: Path) -> bool:
    return path.is_file() and is_right(path, path.read_text(), ACCOUNT)


def ensure() -> None:
    """Make what is missing. What is there keeps its value."""
    for name in USERS.values():
        path = SECRETS / name
        value = path.read_text().strip() if path.is_file() else ""
        keep(path, value or secrets.token_urlsafe(32), ACCOUNT)
    if not _web_is_right():
        lines = [f"  {user}: {_hash((SECRETS / name).read_text())}" for user, name in USERS.items()]
        keep(WEB, "\n".join(["basic_auth_users:", *lines, ""]), ACCOUNT)


def renew(user: str) -> None:
    """Make somebody's password anew. The web servers read the hashes with every question, so nothing restarts."""
    if user not in USERS:
        raise Refused(f"{user!r} has no password here; there are {', '.join(USERS)}")
    keep(SECRETS / USERS[user], secrets.token_urlsafe(32), ACCOUNT)
    ensure()


def set_secret(name: str, value: str) -> None:
    """Keep what a person pipes in, for a receiver of alerts."""
    taken = sorted([*USERS.values(), WEB.name])
    if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name) or name in taken:
        raise Refused(
            f"{name!r} cannot be set: a name has letters, digits and _, and is none of {', '.join(taken)}"
        )
    if not value:
        raise Refused("nothing came on standard input")
    keep(SECRETS / name, value, ACCOUNT)


def _web_is_right() -> bool:
    if not WEB.is_file() or WEB.stat().st_mode & 0o7777 != MODE:
        return False
    hashes = dict(re.findall(r"^  (\w+): (\S+)$", WEB.read_text(), re.MULTILINE))
    return set(hashes) == set(USERS) and all(
        _crypt((SECRETS / name).read_text(), hashes[user]) == hashes[user] for user, name in USERS.items()
    )


def _hash(password: str) -> str:
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt_gensalt.restype = ctypes.c_char_p
    salt = library.crypt_gensalt(b"$2b$", ctypes.c_ulong(ROUNDS), os.urandom(16), 16)
    if salt is None:
        raise Refused("this machine's libcrypt knows no bcrypt")
    return _crypt(password, salt.decode())


def _crypt(password: str, setting: str) -> str:
    library = ctypes.CDLL("libcrypt.so.1")
    library.crypt.restype = ctypes.c_char_p
    return (library.crypt(password.encode(), setting.encode()) or b"").decode()
