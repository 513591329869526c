# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Secrets go back to their places; of people, those stay who are described in platform.yml."""

import json
import os
import shutil
from pathlib import Path

from . import files
from .described import WORK
from .records import write_whole

LEDGER = Path("/srv/people/accounts.json")


def put_back(archive: Path, root: Path = files.ROOT) -> None:
    """Each file in its place, whole or not at all; those of services that this machine does not have are left out."""
    folder = WORK / "secrets"
    files.unpack(archive, folder)
    _merge_ledger(folder / "people/accounts.json")
    for path in sorted(found for found in folder.rglob("*") if found.is_file() and not found.is_symlink()):
        place = root / path.relative_to(folder)
        if path.is_relative_to(folder / "people"):
            _put_password(path, place)
        elif (root / path.relative_to(folder).parts[0]).is_dir():
            _make_folder(path.parent, place.parent)
            _put(path, place, path.stat())


def _make_folder(like: Path, place: Path) -> None:
    """A folder of a service that comes later (`pipelines`), with its owner and rights."""
    if not place.is_dir():
        rights = like.stat()
        place.mkdir(mode=0o700, parents=True)
        os.chown(place, rights.st_uid, rights.st_gid)
        place.chmod(rights.st_mode & 0o7777)


def _put_password(path: Path, place: Path) -> None:
    """Whoever is described has one by now, and whoever is not gets none back. The owner is today's."""
    if path.parent.name == "passwords" and place.exists():
        _put(path, place, place.stat())


def _put(path: Path, place: Path, rights: os.stat_result) -> None:
    fresh = place.with_name(f".{place.name}.new")
    fresh.unlink(missing_ok=True)
    shutil.copyfile(path, fresh)  # root's alone until it has its owner: the program's umask sees to that
    os.chown(fresh, rights.st_uid, rights.st_gid)
    fresh.chmod(rights.st_mode & 0o7777)
    fresh.rename(place)


def _merge_ledger(path: Path) -> None:
    """Whose number is whose, of people who left too: a number that is taken here stays with whom it is."""
    if not path.exists() or not LEDGER.parent.is_dir():
        return
    here = json.loads(LEDGER.read_text()) if LEDGER.exists() else {}
    taken = {line["uid"] for line in here.values()}
    for name, line in json.loads(path.read_text()).items():
        if name not in here and line["uid"] not in taken:
            here[name] = line
    write_whole(LEDGER, json.dumps(here, indent=1, sort_keys=True) + "\n")
