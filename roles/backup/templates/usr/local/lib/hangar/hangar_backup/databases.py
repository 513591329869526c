# Written by Hangar (role backup). Changes made here are lost at the next run.
"""The three databases: how each is dumped while it is in use, and how one can tell that nothing was written."""

import os
from collections.abc import Sequence
from pathlib import Path

from hangar_files import LARGEST

from . import inside
from .described import Described, Refused
from .running import run

AIRFLOW = ("as-service", "airflow", "docker", "exec", "--interactive", "airflow-postgres-1")
"""Airflow's database has no port; its socket in the container asks for no password."""

AIRBYTE_STATE = Path("/srv/airbyte/data/state.sqlite")
COPY = """
import sqlite3, sys
source, memory = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=30), sqlite3.connect(":memory:")
(page,) = source.execute("pragma page_size").fetchone()
memory.execute(f"pragma page_size = {page}")
memory.execute(f"pragma max_page_count = {max(1, int(sys.argv[2]) // page)}")
try:
    source.backup(memory)
except sqlite3.OperationalError as problem:
    sys.exit(f"they are larger than {int(sys.argv[2]) >> 20} MiB" if "full" in str(problem) else str(problem))
found = memory.execute("pragma integrity_check").fetchone()[0]
if found != "ok":
    sys.exit(f"they are not sound: {found}")
sys.stdout.buffer.write(memory.serialize())
"""

SHAPE = r"""
import sqlite3, sys
content = bytearray(sys.stdin.buffer.read())
content[18:20] = b"\1\1"  # what is in memory has no log beside it, whatever its file had
copy = sqlite3.connect(":memory:")
copy.deserialize(content)
(version,) = copy.execute("pragma user_version").fetchone()
print(version, copy.execute("select sql from sqlite_master where sql is not null order by name").fetchall())
"""

PATIENCE = "--lock-wait-timeout=60s"
"""Whoever holds a table for himself does not hold up the backup of everything else."""

MEMORY = 4 * LARGEST
"""Bytes that looking through the records may take: they are there three times, and what they make of themselves."""

DUMPED, COPIED, ASKED = 4 * 3600, 3600, 120
"""Seconds that a dump may take, a copy of Airbyte's records, and an answer."""

ROLES = "select coalesce(string_agg(rolname, ' ' order by rolname), '') from pg_roles where rolname !~ '^pg_'"
WRITTEN = "select system_identifier || ' ' || pg_current_snapshot() from pg_control_system()"
"""A snapshot names the transactions that have written. Two that are equal see the same rows."""


def of_airflow(program: str, *words: str, database: str = "airflow") -> list[str]:
    """A client of Airflow's database, in its container."""
    return [*AIRFLOW, program, "--host=/tmp", "--username=airflow", f"--dbname={database}", *words]


def of_warehouse(
    described: Described, program: str, *words: str, database: str = "warehouse", role: str = "warehouse"
) -> list[str]:
    """A client of the warehouse, to be run as its owner. As another role it is let into what is being restored only."""
    place = ["--host=/run/warehouse", f"--port={described.warehouse_port}", f"--username={role}"]
    return [str(described.programs / program), *place, f"--dbname={database}", *words]


def dump_airflow(place: Path) -> None:
    """As it was at one moment."""
    with place.open("xb") as sink:
        run(
            of_airflow("pg_dump", "--format=custom", "--compress=zstd:3", PATIENCE),
            "Dumping Airflow's database",
            sink=sink,
            timeout=DUMPED,
        )


def dump_warehouse(described: Described, place: Path) -> None:
    """As it was at one moment."""
    argv = of_warehouse(described, "pg_dump", "--format=custom", "--compress=zstd:3", PATIENCE)
    with place.open("xb") as sink:
        run(argv, "Dumping the warehouse", sink=sink, user="warehouse", timeout=DUMPED)


def ask_warehouse(described: Described, sql: str) -> str:
    """What the warehouse answers its owner."""
    argv = of_warehouse(described, "psql", *plain())
    return run(argv, "Asking the warehouse", text=sql, user="warehouse", timeout=ASKED).strip()


def plain() -> Sequence[str]:
    """Words for a psql that a program speaks to."""
    return ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-")


def copy_airbyte(place: Path, state: Path = AIRBYTE_STATE) -> None:
    """The engine's records as they were at one moment, through SQLite's own copy: its file is being written to."""
    owner = _owner(state)
    with place.open("xb") as sink:
        # As the owner: a file that root made beside the database would shut the engine out. And whoever writes there
        # chooses what looking through it runs, for how long, and what it takes.
        argv = ["/usr/bin/python3", "-I", "-c", COPY, state, str(LARGEST)]
        what = "Copying Airbyte's records"
        run(argv, what, sink=sink, user=owner, timeout=COPIED, most=LARGEST, memory=MEMORY)


def shape_of_airbyte(copy: Path, state: Path = AIRBYTE_STATE) -> str:
    """The version and the tables of a copy, told by the account whose records they are: they are not root's to open."""
    owner = _owner(state)
    with copy.open("rb") as source:
        argv = ["/usr/bin/python3", "-I", "-c", SHAPE]
        what = "Reading Airbyte's records"
        return run(argv, what, source=source, user=owner, timeout=ASKED, memory=MEMORY).strip()


def _owner(state: Path) -> os.stat_result:
    if owner := inside.seen(state):
        return owner
    raise Refused(f"{state} is no plain file: Airbyte's records cannot be copied")
