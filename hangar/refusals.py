"""What the operating system refused (a full disk, a folder of somebody else's), as an error with its cure."""

import errno
import os
import shlex
from pathlib import Path

from hangar.errors import HangarError
from hangar.paths import REPO

FULL = (errno.ENOSPC, errno.EDQUOT)
CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)


def explained(error: OSError) -> HangarError | None:
    """The error for a person, or nothing where it is not about a file: then nobody foresaw it.

    >>> explained(PermissionError(13, "Permission denied", "/root/x")).details
    '* /root/x: Permission denied'
    """
    name = error.filename
    if error.errno is None or (name is None and error.errno not in (*FULL, errno.EROFS, errno.EIO)):
        return None
    path = Path(os.fsdecode(name)) if isinstance(name, str | bytes | os.PathLike) else REPO
    why = f"* {path}: {error.strerror}"
    if error.errno in FULL:
        return HangarError(
            "There is no room left on the disk.", why, f"See how full it is: df -h {_place(path)}"
        )
    return HangarError("A file on this computer cannot be used.", why, _cure(path, error.errno))


def _cure(path: Path, number: int) -> str:
    place = _place(path)
    look = f"Look at it: ls -ld {place}"
    state = REPO / ".hangar"
    if number in CLOSED and number != errno.EROFS and path.is_relative_to(state):
        # One call with sudo is enough to leave files there that are root's.
        return f"{look}\nMake it yours again: sudo chown -R {os.getuid()}:{os.getgid()} {shlex.quote(str(state))}"
    return look


def _place(path: Path) -> str:
    """The path, or what is there of it, as a shell takes it."""
    return shlex.quote(str(next((one for one in (path, *path.parents) if os.path.lexists(one)), path)))
