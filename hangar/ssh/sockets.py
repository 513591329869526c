"""Where tunnels have their control sockets: a short path, since a socket's may have 108 characters only."""

import contextlib
import os
from pathlib import Path

from hangar.errors import HangarError


def socket_folder() -> Path:
    """A folder of this account's own, closed to others; made if need be.

    Raises:
        HangarError: another account made it first; it could offer a socket of its own.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR", "")
    if runtime and len(runtime) < 40 and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        folder = Path(runtime, "hangar")
    else:
        folder = Path(f"/tmp/hangar-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.lstat().st_uid != os.getuid():
        raise HangarError(
            f"{folder} belongs to another account.",
            "Hangar keeps the control sockets of its tunnels there.",
            f"Have it removed, or set XDG_RUNTIME_DIR: sudo rm -r {folder}",
        )
    folder.chmod(0o700)
    return folder


def tidy() -> None:
    """Removes the folder when no tunnel is left in it."""
    with contextlib.suppress(OSError):  # not empty, or gone
        socket_folder().rmdir()
