"""A proxy command as ssh takes it. ssh replaces tokens such as %h in it, and hands the rest to a shell."""

import os
import shlex
from collections.abc import Sequence

from hangar import process
from hangar.errors import HangarError


def text(argv: Sequence[str], *, windows: bool = os.name == "nt") -> str:
    """The words as the rest of a ProxyCommand line. On Windows no shell takes part: the program itself cuts the line
    into words, by the rules of Microsoft's C library.

    Raises:
        HangarError: a word holds a line break, after which ssh would read a setting.
    """
    if any(char in word for word in argv for char in "\r\n\0"):
        raise HangarError(f"The way to the machine cannot be written down for ssh: {list(argv)}")
    joined = process.windows_line(argv) if windows else shlex.join(argv)
    return joined.replace("%", "%%")


def words(line: str) -> tuple[str, ...]:
    """The words that `text` wrote, for whoever starts the program without ssh and a shell (not on Windows)."""
    return tuple(shlex.split(line.replace("%%", "%")))
