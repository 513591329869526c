"""Files as root writes them: whole, atomically, and never through somebody else's link.

Shared by the module `apply_tree` and by the machine's interlock program, so it
needs nothing but Python's standard library.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import os
import secrets
import stat
from dataclasses import dataclass, field

TEMPORARY = ".hangar-"
LARGEST = 512 << 20
"""Bytes of a file that are taken in: what is written here is smaller, and somebody else may have put a file in its
place that is larger than the memory.
"""
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class FileProblem(Exception):
    """A path that cannot be handled; the message names it and says why."""


@dataclass(frozen=True)
class State:
    """What stands at a path; `content` is a file's bytes or a link's target."""

    kind: str = "absent"  # absent, file, link, directory or other
    uid: int = -1
    gid: int = -1
    mode: int = 0
    content: bytes = field(default=b"", repr=False)

    def to_json(self) -> dict[str, object]:
        """Return a form that JSON can carry."""
        text = base64.b64encode(self.content).decode()
        return {"kind": self.kind, "uid": self.uid, "gid": self.gid, "mode": self.mode, "content": text}

    @classmethod
    def from_json(cls, data: dict[str, object]) -> State:
        """Undo `to_json`."""
        return cls(**{**data, "content": base64.b64decode(str(data["content"]))})  # type: ignore[arg-type]


def _trusted_link(parent: int, name: str) -> bool:
    """Tell whether only root (or whoever we are) could have put this link here."""
    ours = {0, os.geteuid()}
    folder = os.fstat(parent)
    open_to_others = folder.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not folder.st_mode & stat.S_ISVTX
    return os.lstat(name, dir_fd=parent).st_uid in ours and folder.st_uid in ours and not open_to_others


def _step(parent: int, name: str, create: bool, made: list[str], so_far: str) -> int | str | None:
    """Open one component: a descriptor, the target of a trusted link, or None where nothing stands."""
    try:
        return os.open(name, _DIRECTORY, dir_fd=parent)
    except FileNotFoundError:
        if not create:
            return None
        os.mkdir(name, 0o755, dir_fd=parent)
        made.append(so_far)
        descriptor = os.open(name, _DIRECTORY, dir_fd=parent)
        os.fchmod(descriptor, 0o755)  # whatever the umask is
        return descriptor
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENOTDIR):
            raise
    if not stat.S_ISLNK(os.lstat(name, dir_fd=parent).st_mode):
        raise FileProblem(f"{so_far}: is not a directory")
    if not _trusted_link(parent, name):
        raise FileProblem(f"{so_far}: is a symbolic link that root did not make; not followed")
    return os.readlink(name, dir_fd=parent)


def open_directory(path: str, create: bool = False, made: list[str] | None = None) -> int | None:
    """Open a directory without following links that others could have made.

    Missing parts are made (root, 0755) when `create` is set and noted in
    `made`; otherwise None says that the directory is not there.
    """
    made = [] if made is None else made
    waiting = [part for part in path.split("/") if part][::-1]
    current, so_far, links = os.open("/", _DIRECTORY), "", 0
    while waiting:
        part = waiting.pop()
        part_path = os.path.dirname(so_far) if part == ".." else f"{so_far}/{part}"
        try:
            found = _step(current, part, create, made, part_path) if part != "." else os.dup(current)
        finally:
            os.close(current)
        if found is None:
            return None
        if isinstance(found, int):
            current, so_far = found, part_path
            continue
        links += 1
        if links > 20:
            raise FileProblem(f"{path}: too many symbolic links")
        waiting += [piece for piece in found.split("/") if piece][::-1]
        restart = "/" if found.startswith("/") else so_far or "/"
        so_far = "" if found.startswith("/") else so_far
        reopened = open_directory(restart) if restart != "/" else os.open("/", _DIRECTORY)
        if reopened is None:
            return None
        current = reopened
    return current


def split(path: str) -> tuple[str, str]:
    """Return folder and name of an absolute, plain path."""
    if not path.startswith("/") or os.path.normpath(path) != path or path == "/":
        raise FileProblem(f"{path}: must be an absolute path without '.', '..' or doubled slashes")
    return os.path.dirname(path), os.path.basename(path)


def _read(parent: int, name: str, path: str) -> bytes:
    # Without O_NONBLOCK a pipe that has come into the file's place would be waited at.
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, dir_fd=parent), "rb") as stream:
        found = os.fstat(stream.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise FileProblem(f"{path}: changed while it was looked at")
        content = stream.read(LARGEST + 1) if found.st_size <= LARGEST else b""
    if found.st_size > LARGEST or len(content) > LARGEST:
        raise FileProblem(f"{path}: is larger than {LARGEST >> 20} MiB, so it is none of ours; not read")
    return content


def look(path: str) -> State:
    """Return what stands at a path; the last component is never followed."""
    folder, name = split(path)
    parent = open_directory(folder)
    if parent is None:
        return State()
    try:
        found = os.lstat(name, dir_fd=parent)
        kind, content = "other", b""
        if stat.S_ISREG(found.st_mode):
            kind, content = "file", _read(parent, name, path)
        elif stat.S_ISLNK(found.st_mode):
            kind, content = "link", os.fsencode(os.readlink(name, dir_fd=parent))
        elif stat.S_ISDIR(found.st_mode):
            kind = "directory"
        return State(kind, found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), content)
    except FileNotFoundError:
        return State()
    finally:
        os.close(parent)


@dataclass
class Staged:
    """A new file that waits beside its target; `commit` renames it over it."""

    path: str
    parent: int
    temporary: str
    made: list[str]

    @property
    def temporary_path(self) -> str:
        """Where a validator can read it."""
        return os.path.join(os.path.dirname(self.path), self.temporary)

    def commit(self) -> None:
        """Put it in place; a reader sees the old file or the new one, never half of it."""
        os.rename(self.temporary, os.path.basename(self.path), src_dir_fd=self.parent, dst_dir_fd=self.parent)
        os.fsync(self.parent)
        os.close(self.parent)

    def discard(self) -> None:
        """Take it away, with the folders that were made for it."""
        os.unlink(self.temporary, dir_fd=self.parent)
        os.close(self.parent)
        for folder in reversed(self.made):
            os.rmdir(folder)


def _clear_leftovers(parent: int, name: str) -> None:
    """Remove what a killed run left beside this target."""
    for entry in os.listdir(parent):
        if (
            entry.startswith(TEMPORARY)
            and entry.endswith("-" + name)
            and len(entry) == len(TEMPORARY) + 9 + len(name)
        ):
            os.unlink(entry, dir_fd=parent)


def stage(path: str, state: State) -> Staged:
    """Write a file or link under a temporary name in the target's folder, owner and mode already set.

    Raises FileProblem; where the disk is full, it comes from an OSError that says so.
    """
    folder, name = split(path)
    made: list[str] = []
    parent, temporary = None, f"{TEMPORARY}{secrets.token_hex(4)}-{name}"  # some validators go by the suffix
    try:
        parent = open_directory(folder, create=True, made=made)
        assert parent is not None  # create=True always opens
        _clear_leftovers(parent, name)
        (_make_link if state.kind == "link" else _make_file)(parent, temporary, state)
    except OSError as error:
        if parent is not None:
            with contextlib.suppress(OSError):  # half a file takes room where there is none
                os.unlink(temporary, dir_fd=parent)
            os.close(parent)
        raise FileProblem(f"{path}: cannot be written: {error.strerror}") from error
    return Staged(path, parent, temporary, made)


def write_over(path: str, state: State) -> None:
    """Write a file into the room that the one at its path takes already: on a full disk there is no other way.

    Whoever reads meanwhile may see half of it. Raises FileProblem where it does not fit, or where something
    else stands there.
    """
    folder, name = split(path)
    parent = open_directory(folder)
    if parent is None:
        raise FileProblem(f"{path}: is not there to be written over")
    try:
        descriptor = os.open(name, os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with os.fdopen(descriptor, "wb", buffering=0) as stream:
            found = os.fstat(descriptor)
            if (
                not stat.S_ISREG(found.st_mode)
                or found.st_nlink != 1
                or found.st_uid not in {0, os.geteuid()}
            ):
                raise FileProblem(f"{path}: is not a file of ours alone, and not written over")
            if len(state.content) > found.st_blocks * 512:
                raise FileProblem(f"{path}: is larger than the room that there is")
            os.fchmod(descriptor, state.mode & stat.S_IMODE(found.st_mode))  # nobody reads more meanwhile
            left = memoryview(state.content)
            while left:
                left = left[stream.write(left) :]
            os.ftruncate(descriptor, len(state.content))
            os.fchown(descriptor, state.uid, state.gid)
            os.fchmod(descriptor, state.mode)
            os.fsync(descriptor)
    except OSError as error:
        raise FileProblem(f"{path}: cannot be written over: {error.strerror}") from error
    finally:
        os.close(parent)


def _make_link(parent: int, name: str, state: State) -> None:
    os.symlink(os.fsdecode(state.content), name, dir_fd=parent)
    os.chown(name, state.uid, state.gid, dir_fd=parent, follow_symlinks=False)


def _make_file(parent: int, name: str, state: State) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(name, flags, 0o600, dir_fd=parent), "wb") as stream:
        stream.write(state.content)
        stream.flush()
        os.fchown(stream.fileno(), state.uid, state.gid)
        os.fchmod(stream.fileno(), state.mode)
        os.fsync(stream.fileno())


def set_directory(path: str, uid: int, gid: int, mode: int) -> list[str]:
    """Make a directory with this owner and mode, or repair it; return what had to be made."""
    made: list[str] = []
    descriptor = open_directory(path, create=True, made=made)
    assert descriptor is not None  # create=True always opens
    try:
        os.fchown(descriptor, uid, gid)
        os.fchmod(descriptor, mode)
    finally:
        os.close(descriptor)
    return made


def remove(path: str) -> None:
    """Remove a file, a link or an empty directory; nothing there is fine."""
    folder, name = split(path)
    parent = open_directory(folder)
    if parent is None:
        return
    try:
        if stat.S_ISDIR(os.lstat(name, dir_fd=parent).st_mode):
            os.rmdir(name, dir_fd=parent)
        else:
            os.unlink(name, dir_fd=parent)
    except FileNotFoundError:
        return
    except OSError as error:
        raise FileProblem(f"{path}: cannot be removed: {os.strerror(error.errno or 0)}") from error
    finally:
        os.close(parent)
