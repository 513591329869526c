"""Whose a backup is: the machine signs each index, with a key that is known from itself or from platform.yml."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from hangar import paths, process
from hangar.backup.records import Backup, plain
from hangar.config import Config
from hangar.ssh.files import write_atomically

NAMESPACE = "hangar-backup"
KEY = re.compile(r"ssh-ed25519 [A-Za-z0-9+/]{60,80}=*")
MOST = 50
"""Keys that are remembered, the last: each machine that was made anew has its own."""

UNSIGNED = "nobody has signed it"
UNKNOWN = "it is signed by a key that is not known here"
FORGED = "it is not as it was signed"


class Signers:
    """The keys that sign the backups of a machine: those that are named, and those that an environment has met, also
    meanwhile.
    """

    def __init__(self, machine: str, named: Sequence[str], environment: str = "") -> None:
        self.machine = machine
        self._named, self._environment = tuple(named), environment
        self._told: dict[tuple[tuple[str, ...], str, str], str] = {}

    @classmethod
    def of(cls, config: Config) -> "Signers":
        return cls(config.server_name, config.backup.signers, config.environment)

    @property
    def keys(self) -> tuple[str, ...]:
        return (*self._named, *(_read(self._environment) if self._environment else ()))

    def doubt(self, backup: Backup) -> str:
        """Why it is not proven to be the machine's; "" where it is, to the last byte of each part."""
        asked = self.keys, plain(backup), backup.signature
        if asked not in self._told:
            self._told[asked] = self._look(backup)
        return self._told[asked]

    def is_strange(self, backup: Backup) -> bool:
        """Whether it is another's of the machine's name (another checkout's, say), or a forgery. One that nobody has
        signed is from before they were; where no key is known nothing can be told.
        """
        return bool(self.keys) and self.doubt(backup) in (UNKNOWN, FORGED)

    def _look(self, backup: Backup) -> str:
        if not backup.signature:
            return UNSIGNED
        with tempfile.TemporaryDirectory() as place:
            allowed, signature = Path(place) / "allowed", Path(place) / "signature"
            signature.write_text(backup.signature, encoding="utf-8")
            allowed.write_text("".join(f"{self.machine} {key}\n" for key in self.keys), encoding="utf-8")
            about = ["-n", NAMESPACE, "-s", str(signature)]

            def holds(*how: str) -> bool:
                argv = ["ssh-keygen", "-Y", *how, *about]
                return process.run(argv, input=plain(backup), check=False).returncode == 0

            if self.keys and holds("verify", "-f", str(allowed), "-I", backup.machine):
                return ""
            return UNKNOWN if holds("check-novalidate") else FORGED


def remember(environment: str, key: str, identifiers: Iterable[str]) -> None:
    """What the machine itself says, by its pinned host key: the key that signs, and the newest backup that it has."""
    known = _read(environment)
    if KEY.fullmatch(key) and key not in known:
        paths.ensure_state_dir(environment)
        lines = [*known, key][-MOST:]
        write_atomically(paths.backup_signers(environment), "".join(f"{one}\n" for one in lines))
    if (last := max(identifiers, default="")) > newest(environment):
        paths.ensure_state_dir(environment)
        write_atomically(paths.backup_newest(environment), f"{last}\n")


def newest(environment: str) -> str:
    """The newest backup that the machine was seen to have; "" where none was."""
    place = paths.backup_newest(environment)
    return place.read_text(encoding="utf-8").strip() if place.is_file() else ""


def _read(environment: str) -> list[str]:
    place = paths.backup_signers(environment)
    lines = place.read_text(encoding="utf-8").splitlines() if place.is_file() else []
    return [line for line in lines if KEY.fullmatch(line)]
