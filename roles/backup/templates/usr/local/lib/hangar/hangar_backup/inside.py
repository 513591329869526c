# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Root writes in folders that are written by others too: through no link of theirs, to no name that they could take."""

import contextlib
import io
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from hangar_files import FileProblem, open_directory

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MARK = ".hangar-restored-"


@contextlib.contextmanager
def opened(folder: Path, create: bool = False) -> Iterator[int]:
    """The folder's descriptor: what is done through it is done there, whatever takes the folder's name meanwhile.

    Raises:
        FileProblem: it is not there, or a link that root did not make leads to it.
    """
    descriptor = open_directory(str(folder), create=create)
    if descriptor is None:
        raise FileProblem(f"{folder}: is not there")
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def put(content: IO[bytes], place: Path, uid: int, gid: int, mode: int) -> None:
    """A file stands in its place, whole or not at all, and belongs to them. A link there is replaced, not followed.

    Raises:
        FileProblem: it cannot be put there; what was there stays.
    """
    try:
        with opened(place.parent) as parent:
            _clear(parent, place.name)
            _put(content, parent, place.name, (uid, gid, mode))
    except OSError as error:
        raise FileProblem(f"{place}: cannot be written: {error.strerror}") from error


def put_text(text: str, place: Path, uid: int | None = None, gid: int | None = None) -> None:
    """A text for one account alone, root's where none is named."""
    put(io.BytesIO(text.encode()), place, os.geteuid() if uid is None else uid, os.getegid() if gid is None else gid,
        0o600)  # fmt: skip


def _clear(parent: int, name: str) -> None:
    """What a killed run left beside it goes."""
    for one in os.listdir(parent):
        if one.startswith(MARK) and one.endswith(f"-{name}"):
            with contextlib.suppress(OSError):
                os.unlink(one, dir_fd=parent)


def _put(content: IO[bytes], parent: int, name: str, rights: tuple[int, int, int]) -> None:
    fresh = f"{MARK}{secrets.token_hex(8)}-{name}"
    try:
        with os.fdopen(os.open(fresh, NEW, 0o600, dir_fd=parent), "wb") as sink:
            shutil.copyfileobj(content, sink, 2**20)
            sink.flush()
            os.fchown(sink.fileno(), rights[0], rights[1])
            os.fchmod(sink.fileno(), rights[2])
            os.fsync(sink.fileno())
        os.rename(fresh, name, src_dir_fd=parent, dst_dir_fd=parent)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(fresh, dir_fd=parent)
        raise
    os.fsync(parent)


def seen(place: Path) -> os.stat_result | None:
    """A plain file's owner and rights; None where something else stands there, or nothing."""
    with opened(place.parent) as parent:
        try:
            found = os.lstat(place.name, dir_fd=parent)
        except FileNotFoundError:
            return None
    return found if stat.S_ISREG(found.st_mode) else None


def remove(place: Path) -> None:
    """A file or a link goes, if it is there."""
    with opened(place.parent) as parent, contextlib.suppress(FileNotFoundError):
        os.unlink(place.name, dir_fd=parent)
