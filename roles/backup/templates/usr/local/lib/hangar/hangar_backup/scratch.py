# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A dump is worth something when it can be restored: it is, into a Postgres that lives for this alone."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .databases import plain
from .described import WORK, Described
from .running import account, run

USER = "postgres"
SETTINGS = {
    "listen_addresses": "''", "fsync": "off", "full_page_writes": "off", "synchronous_commit": "off",
    "wal_level": "minimal", "max_wal_senders": "0", "max_connections": "10", "shared_buffers": "64MB",
    "autovacuum": "off",
}  # fmt: skip
"""Nothing in it has to survive."""

TABLES = "select count(*) from pg_class where relkind in ('r', 'p') and relnamespace in (select oid from pg_namespace"
TABLES += " where nspname !~ '^(pg_|information_schema$)')"


class Scratch:
    """A running cluster; nobody but Debian's account postgres reaches its socket."""

    def __init__(self, described: Described, folder: Path) -> None:
        self._programs = described.programs
        self._folder = folder

    def restore(self, name: str, dump: Path, roles: Iterable[str]) -> int:
        """Restore a dump with all that belongs to it, and count its tables.

        Raises:
            Refused: it cannot be restored.
        """
        known = self._sql("postgres", "select string_agg(rolname, ' ') from pg_roles").split()
        made = [f"create role {quoted(role)};" for role in roles if role not in known]
        self._sql("postgres", "\n".join([*made, f"create database {quoted(name)};"]))
        argv = [self._programs / "pg_restore", *self._place(name), "--exit-on-error"]
        with dump.open("rb") as source:
            run(argv, f"Restoring the dump of {name} into a scratch database", source=source, user=USER)
        return int(self._sql(name, TABLES))

    def _sql(self, database: str, text: str) -> str:
        argv = [self._programs / "psql", *self._place(database), *plain()]
        return run(argv, "Asking the scratch database", text=text, user=USER).strip()

    def _place(self, database: str) -> list[str]:
        return [f"--host={self._folder}", f"--dbname={database}"]


@contextmanager
def cluster(described: Described, work: Path = WORK) -> Iterator[Scratch]:
    """A cluster that is gone, with all that was in it, when the block ends."""
    folder, data = work / "scratch", work / "scratch" / "data"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    shutil.chown(folder, account(USER)["user"], account(USER)["group"])
    locale = ["--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8"]
    make = [
        described.programs / "initdb",
        f"--pgdata={data}",
        f"--username={USER}",
        "--auth=peer",
        "--no-sync",
        *locale,
    ]
    run(make, "Making a scratch database", user=USER)
    options = " ".join(f"-c {name}={value}" for name, value in SETTINGS.items())
    control = [described.programs / "pg_ctl", f"--pgdata={data}"]
    start = [
        "start",
        "--wait",
        f"--log={folder}/log",
        "--options",
        f"{options} -c unix_socket_directories={folder}",
    ]
    with (folder / "started").open("wb") as sink:  # the server inherits it: a pipe would never end
        run([*control, *start], "Starting a scratch database", user=USER, sink=sink)
    try:
        yield Scratch(described, folder)
    finally:
        run([*control, "stop", "--mode=immediate"], "Stopping the scratch database", user=USER)
        shutil.rmtree(folder, ignore_errors=True)


def quoted(name: str) -> str:
    """An identifier as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'
