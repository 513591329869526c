# Written by Hangar (role backup). Changes made here are lost at the next run.
"""What a backup is made of. A part that has not changed since the last one is referred to, not copied again."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from . import abctl, databases, files
from .described import DRAINED, Described

FILES = (Path("/srv/airflow/released"), Path("/srv/airflow/dags"), Path("/srv/airflow/data"))
SECRETS = (
    Path("/srv/airflow/secrets"),
    Path("/srv/airbyte/secrets"),
    Path("/srv/airbyte/data/keys"),
    Path("/srv/airbyte/pipelines"),
    Path("/srv/warehouse/secrets"),
    Path("/srv/monitoring/secrets"),
    Path("/srv/people/passwords"),
    Path("/srv/people/accounts.json"),
    Path("/srv/backup/secrets"),
    DRAINED,
)
"""What is generated once: the keys that the databases are encrypted with, passwords, tokens, whose number is whose;
what `pipelines` knows of the connections that it made; and how many slots the pools had that have none just now.
"""


@dataclass(frozen=True)
class Part:
    """`fingerprint` is equal as long as nothing changed ("" where one cannot tell); `is_dump` that a Postgres
    can restore it, else it is an archive of files. `trial` looks at one that is neither, and counts its tables.
    """

    name: str
    words: str
    fingerprint: Callable[[], str]
    make: Callable[[Path], None]
    is_dump: bool = False
    trial: Callable[[Path], int] | None = None


def parts(described: Described) -> Iterator[Part]:
    """All of this machine's, the small ones that open the others first."""
    yield Part(
        "secrets", "keys, passwords and tokens",
        lambda: files.fingerprint(SECRETS), lambda place: files.pack(SECRETS, place),
    )  # fmt: skip
    if described.airflow:
        # Its heartbeats are written every few seconds: there is no unchanged one.
        yield Part("airflow", "Airflow's database", lambda: "", databases.dump_airflow, is_dump=True)
    if described.warehouse:
        yield Part(
            "warehouse", "the warehouse",
            lambda: databases.ask_warehouse(described, databases.WRITTEN),
            lambda place: databases.dump_warehouse(described, place), is_dump=True,
        )  # fmt: skip
    if described.airbyte:
        state = databases.AIRBYTE_STATE
        watched = (state, state.with_name(f"{state.name}-wal"))
        yield Part("airbyte", "Airbyte's connections and jobs", lambda: files.fingerprint(watched), _airbyte)
    if described.abctl:
        yield Part(
            "abctl", "Airbyte's platform: connections and jobs", lambda: "", abctl.make,
            trial=lambda place: abctl.tried(described, place),
        )  # fmt: skip
    chosen = (*FILES, *map(Path, described.folders))
    yield Part(
        "files", "DAGs and their data",
        lambda: files.fingerprint(chosen), lambda place: files.pack(chosen, place),
    )  # fmt: skip


def _airbyte(place: Path) -> None:
    copy = place.with_name("state.sqlite")
    try:
        databases.copy_airbyte(copy)
        files.pack((copy,), place, copy.parent)
    finally:
        copy.unlink(missing_ok=True)
