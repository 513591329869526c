# Written by Hangar (role backup). Changes made here are lost at the next run.
"""What was restored takes the place of what there is. `./provision.py upgrade` goes back by it too."""

import shutil
from pathlib import Path


def swap(name: str) -> str:
    """The statements that let the database `restored` stand in the place of the one of that name."""
    return (
        f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}' \\g /dev/null\n"
        f"drop database if exists {name} with (force);\nalter database restored rename to {name};\n"
    )


def take_the_place_of(state: Path, copy: Path) -> None:
    """A copy of a SQLite file stands in the file's place, whole or not at all, and belongs to whom the file did."""
    owner = state.parent.stat() if not state.exists() else state.stat()
    for end in ("-wal", "-shm"):
        state.with_name(state.name + end).unlink(missing_ok=True)
    fresh = state.with_name(".restored")
    shutil.copyfile(copy, fresh)
    shutil.chown(fresh, owner.st_uid, owner.st_gid)
    fresh.chmod(0o600)
    fresh.rename(state)
