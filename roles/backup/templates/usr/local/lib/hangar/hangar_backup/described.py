# Written by Hangar (role backup). Changes made here are lost at the next run.
"""What is to be backed up and where it goes, as the role wrote it down."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DESCRIPTION = Path("/etc/hangar/backup/backup.json")
KNOWN_HOSTS = Path("/etc/hangar/backup/known_hosts")
HOME = Path("/srv/backup")
SPOOL = HOME / "spool"
WORK = HOME / "work"
INCOMING = HOME / "incoming"
RECIPIENTS = HOME / "recipients"
SENDING_KEY = HOME / "secrets" / "id_ed25519"
SIGNING_KEY = HOME / "secrets" / "signing"
FIGURES = Path("/srv/monitoring/figures")
DRAINED = Path("/srv/maintenance/drained.json")
"""While no task may begin: how many slots the pools of Airflow's database had (role maintenance)."""


class Refused(Exception):
    """What went wrong, in a sentence for people."""


@dataclass(frozen=True)
class Host:
    """Where encrypted backups are put by SFTP; the account there can add and nothing else."""

    host: str
    port: int
    user: str
    folder: str

    @property
    def name(self) -> str:
        return self.host


@dataclass(frozen=True)
class Bucket:
    """Where encrypted backups are put in Cloud Storage; the machine's service account can add and nothing else."""

    bucket: str
    folder: str

    @property
    def name(self) -> str:
        return f"gs://{self.bucket}/{self.folder}".rstrip("/")


@dataclass(frozen=True)
class Described:
    """`airbyte` says that the embedded engine is here, `abctl` that Airbyte's platform is; `folders` are added to what
    is copied; `kept` counts the backups that stay in the spool; `full_days` is how long an unchanged part is referred
    to instead of copied again.
    """

    machine: str
    airflow: bool
    airbyte: bool
    warehouse: bool
    warehouse_port: int
    postgres: str
    packages: tuple[str, ...]
    folders: tuple[str, ...]
    recipients: tuple[str, ...]
    kept: int
    full_days: int
    max_age_hours: int
    sftp: Host | None
    gcs: Bucket | None
    abctl: bool = False

    @property
    def target(self) -> Host | Bucket | None:
        """Who takes the backups, besides the spool."""
        return self.sftp or self.gcs

    @property
    def programs(self) -> Path:
        """Where Debian puts Postgres' programs."""
        return Path(f"/usr/lib/postgresql/{self.postgres}/bin")


def load(path: Path = DESCRIPTION) -> Described:
    """Read the description; the role has checked it."""
    found: dict[str, Any] = json.loads(path.read_text())
    sftp, gcs = found.pop("sftp"), found.pop("gcs")
    found |= {name: tuple(found[name]) for name in ("folders", "packages", "recipients")}
    return Described(**found, sftp=Host(**sftp) if sftp else None, gcs=Bucket(**gcs) if gcs else None)
