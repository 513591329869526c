# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""The data directory: made once, adopted when it comes with a disk from another machine, never made again."""

import os
import shutil
import subprocess
from pathlib import Path

from .described import DATA, OWNER, Described, Refused


def look(described: Described, data: Path = DATA) -> list[str]:
    """What is wrong with it. Raises Refused where it cannot be used as it is."""
    if not data.exists() and not data.is_symlink():
        return ["is missing"]
    if data.is_symlink() or not data.is_dir():
        raise Refused(f"{data} is no folder. Move it away, or put the data there.")
    version = _version(data)
    if version is None:
        if any(data.iterdir()):
            raise Refused(
                f"{data} holds something that is no Postgres cluster. It was left alone: look what it is, "
                "and move it away."
            )
        return ["is missing"]
    if version != described.version:
        raise Refused(
            f"{data} holds data of Postgres {version}, this role runs {described.version}. It was left alone: "
            f"bring it over with pg_upgrade or pg_dump (docs of Postgres, 18.6), then run again."
        )
    if data.stat().st_uid != described.uid:
        raise Refused(
            f"{data} belongs to the number {data.stat().st_uid}, but {OWNER} has {described.uid}. "
            f"Set warehouse_uid to that number, or: sudo chown -R {described.uid}:{described.uid} {data}"
        )
    return []


def _version(data: Path) -> str | None:
    path = data / "PG_VERSION"
    return path.read_text().strip() if path.is_file() else None


def ensure(described: Described, data: Path = DATA) -> None:
    """Make the cluster where there is none. A run that is killed meanwhile leaves none, and the next makes it."""
    if not look(described, data):
        return
    begun = data.with_name(f".{data.name}.new")
    shutil.rmtree(begun, ignore_errors=True)
    begun.mkdir(mode=0o700)
    os.chown(begun, described.uid, described.uid)
    argv = [
        str(described.programs / "initdb"),
        "--pgdata", str(begun),
        "--username", OWNER,
        "--data-checksums",
        "--encoding", "UTF8",
        # Postgres' own order of letters: another release of the C library cannot break the indexes.
        "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C.UTF-8",
        "--auth-local", "peer",
        "--auth-host", "scram-sha-256",
    ]  # fmt: skip
    done = subprocess.run(
        argv, user=described.uid, group=described.uid, extra_groups=[], umask=0o077, cwd="/",
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise Refused(f"The cluster could not be made: {done.stderr.strip()}")
    if data.exists():
        data.rmdir()
    begun.rename(data)
    _sync(data.parent)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
