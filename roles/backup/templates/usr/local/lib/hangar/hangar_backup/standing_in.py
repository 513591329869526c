# Written by Hangar (role backup). Changes made here are lost at the next run.
"""What was restored takes the place of what there is. `./provision.py upgrade` goes back by it too."""

import os
from pathlib import Path

from . import inside


def swap(name: str) -> str:
    """The statements that let the database `restored` stand in the place of the one of that name."""
    return (
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' \\g /dev/null\n"
        f'drop database if exists "{name}" with (force);\nalter database restored rename to "{name}";\n'
    )


def take_the_place_of(state: Path, copy: Path) -> None:
    """A copy of a SQLite file stands in the file's place, whole or not at all, and belongs to whom the file did.

    Raises:
        FileProblem: it cannot be put there.
    """
    # The folder is a service's, whose containers write it: nothing there is followed.
    with inside.opened(state.parent) as folder:
        owner = inside.seen(state) or os.fstat(folder)
    for end in ("-wal", "-shm"):
        inside.remove(state.with_name(state.name + end))
    with copy.open("rb") as content:
        inside.put(content, state, owner.st_uid, owner.st_gid, 0o600)
