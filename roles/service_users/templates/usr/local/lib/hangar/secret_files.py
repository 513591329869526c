# Written by Hangar (role service_users). Changes made here are lost at the next run.
"""Files that hold one secret each: root's, readable by one group, written whole or not at all."""

import grp
import os
from pathlib import Path

MODE = 0o440


def number(group: str) -> int:
    """The number of a group. Where its account comes later, it is named by the number itself."""
    return int(group) if group.isdigit() else grp.getgrnam(group).gr_gid


def is_right(path: Path, value: str, group: str) -> bool:
    """Tell whether this secret stands there, readable by root and the group and by nobody else."""
    if path.is_symlink() or not path.is_file() or path.read_text() != value:
        return False
    found = path.stat()
    return (found.st_uid, found.st_gid, found.st_mode & 0o7777) == (0, number(group), MODE)


def keep(path: Path, value: str, group: str) -> None:
    """Write a secret. Whoever reads meanwhile gets the old one or the new one; nobody else gets to see either."""
    temporary = path.with_name(f".{path.name}.new")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(value)
        os.fchown(descriptor, 0, number(group))
        os.fchmod(descriptor, MODE)
        stream.flush()
        os.fsync(descriptor)
    temporary.rename(path)
