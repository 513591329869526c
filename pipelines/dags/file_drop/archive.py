"""Zip files from people: opened so that none of the ways to abuse one works. Nothing is ever unpacked to disk."""

from __future__ import annotations

import hashlib
import io
import lzma
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from file_drop.feeds import Broken, Whole

IGNORED = re.compile(r"(?:^|/)(?:__MACOSX/.*|\.DS_Store|Thumbs\.db)$")
"""What desktops add by themselves."""
KINDS = (".csv", ".json", ".jsonl")
CHUNK = 1 << 16
DAMAGED = (
    zipfile.BadZipFile, NotImplementedError, zlib.error, lzma.LZMAError, EOFError, struct.error, UnicodeDecodeError,
)  # fmt: skip
"""What zipfile raises at an archive that is broken, whatever it is packed with."""


@dataclass(frozen=True)
class Limits:
    """Beyond these a file is refused. Bytes, unless the name says otherwise."""

    packed: int = 200_000_000
    unpacked: int = 1_000_000_000
    ratio: int = 200
    """Unpacked to packed. Text packs 5 to 20 times, a table that repeats itself perhaps 100, a bomb 1000 times."""
    members: int = 500
    json: int = 100_000_000
    """One .json file, which has to be read as a whole; .jsonl is read line by line."""


@contextmanager
def opened(path: Path, limits: Limits) -> Iterator[tuple[zipfile.ZipFile, list[zipfile.ZipInfo]]]:
    """The archive and the members that are to be read, in the order of their names.

    Raises:
        Broken: it is no zip file, or one that is not to be trusted.
    """
    if path.stat().st_size > limits.packed:
        raise Broken(f"it has {path.stat().st_size} bytes; at most {limits.packed} are taken")
    try:
        with zipfile.ZipFile(path) as archive:
            members = [
                info for info in archive.infolist() if not IGNORED.search(info.filename) and not info.is_dir()
            ]
            check(members, limits)
            yield archive, sorted(members, key=lambda info: info.filename)
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # the disk's; bzip2 says of damaged data only this much: OSError
        raise Broken(f"it is no zip file that can be read: {error}") from error


def check(members: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Judge what the archive says of itself, before a byte of it is unpacked.

    Raises:
        Broken: the first thing that is wrong.
    """
    if not members:
        raise Broken("there is no file in it")
    if len(members) > limits.members:
        raise Broken(f"it holds {len(members)} files; at most {limits.members} are taken")
    names = [member.filename.casefold() for member in members]
    if len(set(names)) < len(names):
        raise Broken("it holds two files of the same name")
    for member in members:
        if wrong := what_is_wrong(member):
            raise Broken(f"{member.filename!r} {wrong}")
    total = sum(member.file_size for member in members)
    if total > limits.unpacked:
        raise Broken(f"unpacked it has {total} bytes; at most {limits.unpacked} are taken")


def what_is_wrong(member: zipfile.ZipInfo) -> str:
    path = PurePosixPath(member.filename)
    if path.is_absolute() or ".." in path.parts or "\\" in member.filename or ":" in member.filename:
        return "leads out of the archive"
    if any(ord(letter) < 32 for letter in member.filename):
        return "has control characters in its name"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "is a link or a device"
    if member.flag_bits & 0x1:
        return "is encrypted"
    if path.suffix.lower() not in KINDS:
        return f"is neither of {', '.join(KINDS)}"
    return ""


class Bounded(io.RawIOBase):
    """A member's bytes, hashed and counted while they are unpacked: a bomb is stopped on its way.

    The size that the archive tells is no promise, but zipfile gives out no byte beyond it.
    """

    def __init__(self, archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> None:
        self.stream, self.name = archive.open(member), member.filename
        self.most = max(member.compress_size * limits.ratio, CHUNK)
        self.count, self.digest = 0, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self.stream.read(len(buffer))
        self.count += len(data)
        if self.count > self.most:
            raise Whole(f"it unpacks to more than {self.most} bytes, as a zip bomb does")
        self.digest.update(data)
        buffer[: len(data)] = data
        return len(data)
