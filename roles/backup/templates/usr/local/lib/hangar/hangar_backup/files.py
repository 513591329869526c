# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Files and folders: packed with their owners and rights, and put back in one step a folder."""

import errno
import hashlib
import os
import re
import stat
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from . import inside
from .described import Refused
from .running import run, wipe

ROOT = Path("/srv")
"""All that is copied lies under it, and nothing is put back elsewhere."""

CHANGED = 1
"""How tar ends when something changed while it was read."""


MOUNTS = Path("/proc/self/mountinfo")
ESCAPED = re.compile(rb"\\([0-7]{3})")
"""How the kernel writes a blank, say, of a mounted folder's name."""

PACKED = 6 * 3600
"""Seconds that it may take."""


def found(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file, folder and link, in an order that stays the same."""
    for path in sorted(paths):
        if not os.path.lexists(path):
            continue
        yield path
        if path.is_dir() and not path.is_symlink():
            for folder, folders, names in os.walk(path):
                folders.sort()
                here = Path(folder)
                yield from (here / name for name in sorted([*folders, *names]))


def fingerprint(paths: Iterable[Path]) -> str:
    """Changes when anything of it is written, gets other rights, comes or goes; "" where not all can be looked at, such
    as what lies deeper than a path is long.
    """
    digest = hashlib.sha256()
    for path in found(paths):
        try:
            seen = path.lstat()
        except FileNotFoundError:
            continue
        except OSError:
            return ""
        size = 0 if path.is_dir() and not path.is_symlink() else seen.st_size
        line = f"{path} {seen.st_mode} {seen.st_uid} {seen.st_gid} {size} {seen.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def _mounted_below(root: Path) -> Iterator[bytes]:
    """What people mounted by FUSE, named from `root` on."""
    below = os.fsencode(root) + b"/"
    for line in MOUNTS.read_bytes().split(b"\n"):
        mount, _, origin = line.partition(b" - ")
        if origin.startswith(b"fuse"):
            place = ESCAPED.sub(lambda found: bytes([int(found[1], 8)]), mount.split(b" ")[4])
            if place.startswith(below):
                yield place.removeprefix(below)


def pack(paths: Iterable[Path], place: Path, root: Path = ROOT) -> None:
    """Pack them with names from `root` on, with owners, rights and access lists (tar's own: Python's knows no lists).

    What changes or vanishes meanwhile is as it was found; sockets are nobody's data, and neither is what somebody
    mounted by FUSE over a folder of theirs, which lets nobody else look, root neither. Of a file that is mostly holes
    only the rest is read: anybody can make one that is larger than all disks.

    Raises:
        Refused: there is no room, or something cannot be read.
    """
    names = "".join(f"{path.relative_to(root)}\0" for path in sorted(paths) if os.path.lexists(path))
    argv = ["tar", "--create", "--use-compress-program=gzip --fast", "--acls", "--numeric-owner", "--sparse",
            f"--file={place}", f"--directory={root}", "--anchored", "--no-wildcards"]  # fmt: skip
    argv += [f"--exclude={os.fsdecode(one)}" for one in _mounted_below(root)]
    argv += ["--null", "--verbatim-files-from", "--files-from=-"]
    run(argv, f"Packing {place.name}", text=names, fine=(0, CHANGED), timeout=PACKED)


def count(archive: Path) -> int:
    """How many members an archive has, each read to its end.

    Raises:
        Refused: it is damaged.
    """
    try:
        with tarfile.open(archive, "r:gz") as tar:
            return sum(1 for _ in tar)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refused(f"{archive.name} is damaged: {error}") from None


def unpack(archive: Path, folder: Path) -> None:
    """Unpack into an empty folder, owners, rights and access lists included.

    Raises:
        Refused: a member leads out of the folder, or the archive is damaged.
    """
    wipe(folder)
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            strange = next((one.name for one in tar if not _belongs(one)), None)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refused(f"{archive.name} cannot be unpacked: {error}") from None
    if strange is not None:
        raise Refused(f"{archive.name} cannot be unpacked: {strange} does not belong there")
    argv = [
        "tar",
        "--extract",
        "--gzip",
        "--acls",
        "--numeric-owner",
        "--same-owner",
        "--preserve-permissions",
    ]
    run([*argv, f"--directory={folder}", f"--file={archive}"], f"Unpacking {archive.name}")


def _belongs(member: tarfile.TarInfo) -> bool:
    """Plain files, folders and links, none outside. (Links may point anywhere; tar does not write through.)"""
    names = [member.name, *([member.linkname] if member.islnk() else [])]
    plain = member.isfile() or member.isdir() or member.issym() or member.islnk()
    return plain and not any(name.startswith("/") or ".." in Path(name).parts for name in names)


def replace(folder: Path, place: Path) -> None:
    """Let `folder` stand in the place of `place`, in it: what is mounted by containers must stay the same folder.

    Raises:
        FileProblem: a link that root did not make leads there.
    """
    with inside.opened(place, create=True) as there:
        # Root's alone until all is in it: whoever may write there would put links in the way.
        os.fchown(there, os.geteuid(), os.getegid())
        os.fchmod(there, 0o700)
        for old in os.listdir(there):  # noqa: PTH208 (a descriptor)
            _remove(old, there)
        for new in folder.iterdir():
            _move(new, there)
        seen = folder.stat()
        os.fchown(there, seen.st_uid, seen.st_gid)
        os.fchmod(there, seen.st_mode & 0o7777)


def _remove(name: str, folder: int) -> None:
    if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
        wipe(f"/proc/{os.getpid()}/fd/{folder}/{name}")
    else:
        os.unlink(name, dir_fd=folder)


def _move(new: Path, folder: int) -> None:
    """A rename follows no link that has the name. Onto another disk it is copied, into the folder that is open."""
    try:
        os.rename(new, new.name, dst_dir_fd=folder)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        argv = [
            "cp",
            "--archive",
            "--no-target-directory",
            "--",
            new,
            f"/proc/{os.getpid()}/fd/{folder}/{new.name}",
        ]
        run(argv, f"Copying {new.name}")
