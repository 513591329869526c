# Written by Hangar (role backup). Changes made here are lost at the next run.
"""Secrets go back to their places; of people, those stay who are described in platform.yml."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from hangar_files import open_directory, set_directory

from . import files, inside
from .described import WORK

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
    there = open_directory(str(place))
    if there is not None:
        os.close(there)
        return
    rights = like.stat()
    set_directory(str(place), rights.st_uid, rights.st_gid, rights.st_mode & 0o7777)


def _put_password(path: Path, place: Path) -> None:
    """Whoever is described has one by now, and whoever is not gets none back. The owner is today's."""
    if path.parent.name == "passwords" and place.parent.is_dir() and (rights := inside.seen(place)):
        _put(path, place, rights)


def _put(path: Path, place: Path, rights: os.stat_result) -> None:
    with path.open("rb") as content:
        inside.put(content, place, rights.st_uid, rights.st_gid, rights.st_mode & 0o7777)


def _merge_ledger(path: Path) -> None:
    """Whose number is whose, of people who left too: a number that is taken here stays with whom it is. Whoever has no
    line here is described no more; where no home of theirs is here either, there is nothing to do for their leaving.
    """
    if not path.exists() or not LEDGER.parent.is_dir():
        return
    here = json.loads(LEDGER.read_text()) if LEDGER.exists() else {}
    taken = {line["uid"] for line in here.values()}
    today = str(datetime.now(UTC).date())
    for name, line in json.loads(path.read_text()).items():
        if name not in here and line["uid"] not in taken:
            is_there = (LEDGER.parent / "home" / name).is_dir()
            here[name] = {**line, "left": line["left"] or ("" if is_there else today)}
    inside.put_text(json.dumps(here, indent=1, sort_keys=True) + "\n", LEDGER)
