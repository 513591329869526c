"""`python -m hangar.ssh.keeper SOCKET ssh …`: keeps a tunnel open, also after the network was gone.

It says `open` once the first connection stands, and ends when that one fails. Later ones are tried again, until
the file SOCKET.keeper no longer names this process: that is how the tunnel is closed.
"""

import contextlib
import os
import stat
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from hangar.process import unattended

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 30.0
"""Seconds before another try: doubled from the first to the longest."""

LOOK = 0.05
"""Seconds between two looks whether the socket is there: ssh makes it when the forwards stand."""

IN_USE = 3600.0
"""Seconds between two signs that a tunnel's file is in use: what lies in /tmp untouched goes after days (ten by
systemd-tmpfiles, three on macOS), and a tunnel without it would not be opened again.
"""


MOST_SAID = 1 << 20
"""Bytes that a connection's complaints may take: while the machine or the network is away, be it for weeks, there are
some with each try.
"""


def owner(control: Path) -> Path:
    """The file that names the process that keeps this tunnel."""
    return control.with_name(f"{control.name}.keeper")


def keep(control: Path, argv: Sequence[str], announce: Callable[[], None]) -> int:
    """Returns 0 when the tunnel is to be closed, and ssh's own status when the first connection fails."""
    owner(control).write_text(str(os.getpid()), encoding="ascii")
    opened, pause = False, FIRST_PAUSE
    while _is_wanted(control):
        control.unlink(missing_ok=True)
        _forget_complaints()
        ssh = unattended.child(argv)
        if _stands(control, ssh):
            if not opened:
                announce()
            opened, pause = True, FIRST_PAUSE
        status = _ended(control, ssh)
        if not opened:
            return status or 1
        _wait(control, pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return 0


def _ended(control: Path, ssh: unattended.Child) -> int:
    """The status with which ssh ended, be it in a month."""
    while (status := unattended.ended(ssh, IN_USE)) is None:
        with contextlib.suppress(FileNotFoundError):  # the tunnel is being closed
            os.utime(owner(control))
    return status


def _is_wanted(control: Path) -> bool:
    try:
        return owner(control).read_text(encoding="ascii") == str(os.getpid())
    except FileNotFoundError:
        return False


def _stands(control: Path, ssh: unattended.Child) -> bool:
    """Returns when the forwards stand, or ssh has ended."""
    while ssh.poll() is None:
        if control.exists():
            return True
        time.sleep(LOOK)
    return False


def _forget_complaints() -> None:
    """Those of before, where they are too many; ours and ssh's go to one file, to its end."""
    found = os.fstat(sys.stderr.fileno())
    if stat.S_ISREG(found.st_mode) and found.st_size > MOST_SAID:
        os.ftruncate(sys.stderr.fileno(), 0)


def _wait(control: Path, pause: float) -> None:
    until = time.monotonic() + pause
    while _is_wanted(control) and time.monotonic() < until:
        time.sleep(min(1.0, pause))


def _announce() -> None:
    """Whoever started us reads one line; from then on nobody does."""
    sys.stdout.write("open\n")
    sys.stdout.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(keep(Path(sys.argv[1]), sys.argv[2:], _announce))
