# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The logs of Airflow's tasks. The code of DAGs may write there what it likes, and root reads it: no link is followed,
nothing but a file is opened for its words, and no more than the end of it is read.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FOLDERS = (("dag", "dag_id="), ("run", "run_id="), ("task", "task_id="))
MAPPED = "map_index="
ATTEMPT = re.compile(r"attempt=(\d{1,9})\.log")
MOST = 4 << 20
"""Bytes that are read of one file, its last."""


@dataclass(frozen=True)
class Log:
    """A file below the folder of logs, when it was written to, how long it is, and what its path says."""

    parts: tuple[str, ...]
    written: float
    size: int
    about: dict[str, str]


def find(folder: Path, since: float) -> Iterator[Log]:
    """The logs that were written to since then. What cannot be looked at is left out."""
    with suppress(OSError), _opened(str(folder), os.O_DIRECTORY) as top:
        yield from _below(top, (), since)


def _below(folder: int, parts: tuple[str, ...], since: float) -> Iterator[Log]:
    for name in os.listdir(folder):
        with suppress(OSError):
            if _leads_on(name, len(parts)):
                with _opened(name, os.O_DIRECTORY, folder) as inner:
                    yield from _below(inner, (*parts, name), since)
            elif len(parts) >= len(FOLDERS) and (attempt := ATTEMPT.fullmatch(name)):
                found = os.stat(name, dir_fd=folder, follow_symlinks=False)
                if stat.S_ISREG(found.st_mode) and found.st_mtime >= since:
                    about = {
                        key: part.removeprefix(word)
                        for (key, word), part in zip(FOLDERS, parts, strict=False)
                    }
                    yield Log((*parts, name), found.st_mtime, found.st_size, {**about, "try": attempt[1]})


def _leads_on(name: str, depth: int) -> bool:
    words = (*(word for _, word in FOLDERS), MAPPED)
    return depth < len(words) and name.startswith(words[depth])


def read(folder: Path, log: Log, begin: int = 0) -> tuple[int, bytes]:
    """The file from that byte on, or as much of its end as is read at most, and where that begins.

    Raises:
        OSError: there is no such file, or it is none any more.
    """
    with ExitStack() as open_ones:
        place = open_ones.enter_context(_opened(str(folder), os.O_DIRECTORY))
        for part in log.parts[:-1]:
            place = open_ones.enter_context(_opened(part, os.O_DIRECTORY, place))
        file = open_ones.enter_context(_opened(log.parts[-1], 0, place))
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no file")
        begin = max(begin, found.st_size - MOST)
        return begin, os.pread(file, MOST, begin)


def lines(folder: Path, log: Log) -> list[str]:
    """The last lines of a log; of a long one the first of them would be a part."""
    begin, said = read(folder, log)
    found = said.decode(errors="replace").splitlines()
    return found[1:] if begin else found


@contextmanager
def _opened(name: str, flags: int, folder: int | None = None) -> Iterator[int]:
    # Without O_NONBLOCK a pipe in a file's place would be waited at.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | flags, dir_fd=folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)
