"""Who takes the machine's backups besides this computer."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from hangar.backup.host import Host
from hangar.backup.records import LARGEST_INDEX, Backup
from hangar.config import Config


class Target(Protocol):
    """A place that hands out what the machine has put there."""

    @property
    def name(self) -> str:
        """What people call it."""

    def sizes(self) -> dict[str, int]:
        """Every index and object with its size."""

    def indexes(self, names: Iterable[str]) -> list[Backup]:
        """The indexes of these names; a torn one is none."""

    def get(
        self, names: Sequence[str], folder: Path, as_fresh: bool = False, most: int = LARGEST_INDEX
    ) -> None:
        """Files into a folder, none larger than `most`; `as_fresh` under the names that they have until they are known
        to be whole.
        """


def of(config: Config) -> Target | None:
    """The one that platform.yml names; None where none is."""
    if config.backup.sftp.host:
        return Host(config)
    if config.backup.gcs.bucket:
        from hangar.backup.bucket import Bucket  # Google's libraries take their time

        return Bucket(config)
    return None
