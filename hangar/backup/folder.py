"""The folder on this computer that keeps the backups. What is listed is whole: an index comes after its objects."""

import shutil
import time
from pathlib import Path

from hangar import paths
from hangar.backup.records import ID, OBJECT, Backup, read, text
from hangar.backup.signers import Signers
from hangar.config import Config
from hangar.errors import HangarError
from hangar.ssh.files import write_atomically

ROOM = 256 << 20
"""Bytes that stay free on this computer's disk."""

LEFT = 24 * 3600.0
"""Seconds after which an object without an index is what a killed fetch left. A fetch writes the index last."""


class Folder:
    """`path` is made when something is first put into it. It may hold other machines' backups too: what is not
    `machine`'s is neither listed nor removed, and is put back only by its name.
    """

    def __init__(self, path: Path, machine: str, signers: Signers | None = None) -> None:
        self.path, self.machine = path, machine
        self.signers = signers or Signers(machine, ())

    @classmethod
    def of(cls, config: Config) -> "Folder":
        place = config.backup.folder or paths.backups_dir(config.environment)
        return cls(place, config.server_name, Signers.of(config))

    def backups(self) -> list[Backup]:
        """Every backup of the machine with an index that can be read, the newest first."""
        return [one for one in self._all() if one.machine == self.machine]

    def ours(self) -> list[Backup]:
        """Those without what another machine of that name has signed: only they are thinned out or the latest."""
        return [one for one in self.backups() if not self.signers.is_strange(one)]

    def _all(self) -> list[Backup]:
        found = [read(path) for path in self.path.glob("*.json") if ID.fullmatch(path.stem)]
        return sorted((one for one in found if one), key=lambda one: one.id, reverse=True)

    def find(self, identifier: str) -> Backup | None:
        """The backup of that name, whichever machine's it is."""
        return next((one for one in self._all() if one.id == identifier), None)

    def taken_by(self, backup: Backup) -> str:
        """Whose backup has a name of this one, or of an object of it with other content; empty where none has."""
        wanted = {part.object: part.sha256 for part in backup.parts}
        for other in self._all():
            differ = any(wanted.get(part.object, part.sha256) != part.sha256 for part in other.parts)
            if other.machine != backup.machine and (other.id == backup.id or differ):
                return other.machine
        return ""

    def missing(self, backup: Backup) -> list[str]:
        """The objects of a backup that are not here in their size."""
        return [part.object for part in backup.parts if not self._has(part.object, part.bytes)]

    def require_room(self, backup: Backup) -> None:
        """Returns where what is missing of a backup fits here: how much that is, somebody else says.

        Raises:
            HangarError: it does not.
        """
        gone = set(self.missing(backup))
        needed = sum(part.bytes for part in backup.parts if part.object in gone)
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        free = shutil.disk_usage(self.path).free
        if needed and needed > free - ROOM:
            raise HangarError(
                f"There is no room for the backup {backup.id}.",
                f"* It says that it has {needed >> 20} MiB; {free >> 20} MiB are free in {paths.shown(self.path)}",
                "Make room, or name another folder in platform.yml: backup.folder",
            )

    def _has(self, name: str, size: int) -> bool:
        place = self.path / name
        return place.is_file() and place.stat().st_size == size

    def fresh(self, name: str) -> Path:
        """Where an object is brought before it is known to be whole."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return self.path / f".{name}.new"

    def take(self, name: str) -> None:
        """What was brought is whole and gets its name."""
        self.fresh(name).rename(self.path / name)

    def write_index(self, backup: Backup) -> None:
        write_atomically(self.path / f"{backup.id}.json", text(backup))

    def keep(self, identifiers: set[str]) -> list[str]:
        """Removes every other backup, then the objects that none names any more; returns what went. Objects that never
        had an index stay for a day: another machine's fetch may be at work.
        """
        going = [one for one in self.ours() if one.id not in identifiers]
        for backup in going:
            (self.path / f"{backup.id}.json").unlink()
        named = {part.object for backup in self._all() for part in backup.parts}
        freed = {part.object for backup in going for part in backup.parts}
        for path in self.path.glob("*.age"):
            if not OBJECT.fullmatch(path.name) or path.name in named:
                continue
            if path.name in freed or time.time() - path.stat().st_mtime > LEFT:
                path.unlink()
        return [backup.id for backup in going]

    def require(self, wanted: str) -> Backup:
        """The backup that is named, or the newest for `latest`.

        Raises:
            HangarError: it is not here, or not whole.
        """
        known = self.ours()
        found = known[0] if known and wanted == "latest" else self.find(wanted)
        if found is None:
            raise HangarError(
                f"There is no backup {wanted}." if known else "There is no backup.",
                f"* Looked in: {paths.shown(self.path)}",
                f"There are: {', '.join(one.id for one in known[:10])}"
                if known
                else "Name where they are in platform.yml (backup.folder, backup.sftp or backup.gcs), or make one: "
                "./provision.py backup now",
            )
        if gone := self.missing(found):
            raise HangarError(
                f"The backup {found.id} is not whole.", "\n".join(f"* missing or cut short: {name}" for name in gone),
                "Take another: ./provision.py backup list names them",
            )  # fmt: skip
        return found
