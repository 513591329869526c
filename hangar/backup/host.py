"""The host that takes the machine's backups by SFTP, seen by the account that may read and remove them."""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hangar import machine, paths, process
from hangar.backup.records import LARGEST_INDEX, Backup, fetched, is_ours, moment
from hangar.backup.retention import SAFE_DAYS
from hangar.config import Config
from hangar.errors import CommandFailed, HangarError
from hangar.ssh.files import write_atomically

HOURS = 6.0
"""A transfer that takes longer is given up, as on the machine (roles/backup)."""

LISTED = re.compile(r"^\S+\s+\S+\s+\S+\s+\S+\s+(\d+)\s.*\s(?:\S*/)?(\S+)$")
"""A line of `ls -lnt`: size and name."""


class Host:
    """Files arrive there with no rights at all; this account owns them and gives itself the right to read."""

    def __init__(self, config: Config) -> None:
        self._sftp = config.backup.sftp
        self._key = machine.private_key(config)
        self._environment = config.environment
        self.name = str(self._sftp.host)

    def sizes(self) -> dict[str, int]:
        """Every index and object with its size; what was written last comes first, by the host's clock."""
        found = {}
        for line in self._say([f'ls -lnt "{self._sftp.folder}"']).splitlines():
            if (match := LISTED.match(line)) and is_ours(match[2]):
                found[match[2]] = int(match[1])
        return found

    def indexes(self, names: Iterable[str]) -> list[Backup]:
        """The indexes of these names; a torn one is none."""
        return fetched(names, self.get)

    def get(
        self, names: Sequence[str], folder: Path, as_fresh: bool = False, most: int = LARGEST_INDEX
    ) -> None:
        """Files into a folder, none larger than `most`; `as_fresh` under the names that they have until they are known
        to be whole.

        Raises:
            HangarError: the host does not hand them out, or sends more.
        """
        lines = []
        for name in names:
            there = f'"{self._sftp.folder}/{name}"'
            lines += [
                f"chmod 400 {there}",
                f'get {there} "{folder / (f".{name}.new" if as_fresh else name)}"',
            ]
        if lines:
            self._say(lines, most)

    def keep(
        self, identifiers: set[str], indexes: Iterable[Backup], now: datetime | None = None
    ) -> list[str]:
        """Removes the indexes of other backups, then old objects that none names; returns what went. What is young and
        in none of `indexes` stays: it may have come since, or be on its way, and the machine may refer to objects in a
        backup that it is making now.
        """
        sizes, indexes = self.sizes(), list(indexes)
        latest = (now or datetime.now(UTC)) - timedelta(days=SAFE_DAYS)
        known = {one.id for one in indexes}
        going = sorted(
            name for name in sizes
            if name.endswith(".json") and name[:-5] not in identifiers
            and (name[:-5] in known or moment(name[:-5]) < latest)
        )  # fmt: skip
        named = {part.object for one in indexes if one.id in identifiers for part in one.parts}
        old = [
            name for name in sizes
            if name.endswith(".age") and name not in named and moment(name[:-4].partition("-")[2]) < latest
        ]  # fmt: skip
        if going or old:
            self._say([f'rm "{self._sftp.folder}/{name}"' for name in [*going, *old]])
        return [name[:-5] for name in going]

    def _say(self, lines: Sequence[str], most: int = LARGEST_INDEX) -> str:
        """What sftp prints for these commands. It writes no file of more than `most` bytes, whatever the host sends."""
        try:
            text = "\n".join([*lines, ""])
            return process.bounded(self._argv(), input=text, timeout=HOURS * 3600, written=most).stdout
        except CommandFailed as error:
            raise HangarError(
                f"The host {self.name} does not hand its backups out.", error.details,
                f"The account {self._sftp.keeper} there has to let your key in, and host_key has to be its own "
                "(platform.yml: backup.sftp; docs/backup.md)",
            ) from error  # fmt: skip

    def _argv(self) -> list[str]:
        known = paths.ensure_state_dir(self._environment) / "backup_known_hosts"
        place = self.name if self._sftp.port == 22 else f"[{self.name}]:{self._sftp.port}"
        write_atomically(known, "".join(f"{place} {key}\n" for key in self._sftp.host_key))
        options = [
            "BatchMode=yes", "IdentitiesOnly=yes", f"IdentityFile={self._key}", "ConnectTimeout=20",
            f"UserKnownHostsFile={known}", "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes",
            "ServerAliveInterval=15", "ServerAliveCountMax=4",
        ]  # fmt: skip
        words = [word for option in options for word in ("-o", option)]
        return ["sftp", "-F", "none", *words, "-b", "-", "-P", str(self._sftp.port),
                f"{self._sftp.keeper}@{self.name}"]  # fmt: skip
