# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Files and folders: packed with their owners and rights, and put back in one step a folder."""

import hashlib
import os
import shutil
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from .described import Refused

ROOT = Path("/srv")
"""All that is copied lies under it, and nothing is put back elsewhere."""


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
    """Changes when anything of it is written, gets other rights, comes or goes."""
    digest = hashlib.sha256()
    for path in found(paths):
        try:
            seen = path.lstat()
        except FileNotFoundError:
            continue
        size = 0 if path.is_dir() and not path.is_symlink() else seen.st_size
        line = f"{path} {seen.st_mode} {seen.st_uid} {seen.st_gid} {size} {seen.st_mtime_ns}\n"
        digest.update(line.encode(errors="surrogateescape"))
    return digest.hexdigest()


def pack(paths: Iterable[Path], place: Path, more: dict[str, Path] | None = None, root: Path = ROOT) -> None:
    """Pack them with names from `root` on; `more` are files that go in by another name.

    What vanishes meanwhile is left out; sockets, pipes and devices are nobody's data.
    """
    with tarfile.open(place, "x:gz", compresslevel=1, format=tarfile.PAX_FORMAT) as tar:
        for name, path in (more or {}).items():
            tar.add(path, name, recursive=False)
        for path in found(paths):
            try:
                if path.is_symlink() or path.is_file() or path.is_dir():
                    tar.add(path, str(path.relative_to(root)), recursive=False)
            except FileNotFoundError:
                continue


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
    """Unpack into an empty folder, owners and rights included. A member that leads out of it is refused.

    Raises:
        Refused: one does, or the archive is damaged.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            # Owners and rights stay as they were ("tar"), names are judged as of a stranger's archive.
            tar.extractall(folder, filter=_inside, numeric_owner=True)
    except (tarfile.TarError, EOFError, OSError) as error:
        raise Refused(f"{archive.name} cannot be unpacked: {error}") from None


def _inside(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo:
    tarfile.tar_filter(member, folder)
    plain = member.isfile() or member.isdir() or member.issym()
    if not plain or ".." in Path(member.name).parts or member.name.startswith("/"):
        raise tarfile.TarError(f"{member.name} does not belong there")
    return member


def replace(folder: Path, place: Path) -> None:
    """Let `folder` stand in the place of `place`, in it: what is mounted by containers must stay the same folder."""
    place.mkdir(parents=True, exist_ok=True)
    for old in place.iterdir():
        _remove(old)
    for new in folder.iterdir():
        shutil.move(new, place / new.name)
    seen = folder.stat()
    os.chown(place, seen.st_uid, seen.st_gid)
    place.chmod(seen.st_mode & 0o7777)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
