# Written by Hangar (role people). Changes made here are lost at the next run.
"""What is true on the machine now: accounts, groups, keys, read once and answered in plain records."""

from dataclasses import dataclass, field
from pathlib import Path

from . import ledger
from .ledger import UIDS, Ledger

ETC = Path("/etc")
KEYS = Path("/etc/ssh/authorized_keys")
LINGER = Path("/var/lib/systemd/linger")
PROC = Path("/proc")


@dataclass(frozen=True)
class Account:
    """A line of passwd with its line of shadow; `expires` counts days since 1970, None is never."""

    uid: int
    gid: int
    home: str
    shell: str
    password: str
    expires: int | None


@dataclass(frozen=True)
class Group:
    gid: int
    members: tuple[str, ...]


@dataclass(frozen=True)
class Facts:
    """`keys` holds the key files by account, `homes` the owners of the homes by name."""

    accounts: dict[str, Account]
    groups: dict[str, Group]
    keys: dict[str, str]
    homes: dict[str, int]
    ledger: Ledger
    lingering: frozenset[str] = frozenset()
    busy: frozenset[int] = field(default=frozenset())

    @property
    def people(self) -> dict[str, int]:
        """The accounts that are people's, with their numbers. A number alone is not enough: on a machine that was
        there before, it may be somebody's who has nothing to do with us.
        """
        return {
            name: account.uid
            for name, account in self.accounts.items()
            if account.uid in UIDS and (name in self.ledger or account.home == str(ledger.HOMES / name))
        }

    def groups_of(self, name: str) -> set[str]:
        return {group for group, found in self.groups.items() if name in found.members}


def gather() -> Facts:
    """Look at everything."""
    found = accounts()
    return Facts(
        accounts=found,
        groups={name: Group(int(gid), _words(members)) for name, _, gid, members in _lines("group")},
        keys={path.name: text(path) for path in _inside(KEYS) if path.is_file()},
        homes={
            path.name: _owner(path, found) for path in _inside(ledger.HOMES) if not path.name.startswith(".")
        },
        ledger=ledger.read(),
        lingering=frozenset(path.name for path in _inside(LINGER)),
        busy=frozenset(uid for uids in processes().values() for uid in uids if uid in UIDS),
    )


def _owner(home: Path, accounts: dict[str, Account]) -> int:
    """Whose a home is. What its person mounted over it (FUSE) answers nobody else, root neither: it is taken for
    theirs, and keeps nobody from coming and leaving.
    """
    try:
        return home.lstat().st_uid
    except OSError:
        return accounts[home.name].uid if home.name in accounts else -1


def processes() -> dict[int, set[int]]:
    """Return the numbers (real, effective, saved, of files) that each process runs as."""
    found = {}
    for path in PROC.iterdir():
        if path.name.isdigit():
            try:
                status = text(path / "status")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            lines = {line.split(":")[0]: line.split()[1:] for line in status.split("\n") if ":" in line}
            if lines["State"][0] != "Z":
                found[int(path.name)] = {int(uid) for uid in lines["Uid"]}
    return found


def accounts() -> dict[str, Account]:
    """Return the machine's accounts, by name; of what lies under /srv nothing is asked."""
    shadow = {line[0]: line for line in _lines("shadow")}
    found = {}
    for name, _, uid, gid, _, home, shell in _lines("passwd"):
        secret = shadow.get(name, [name, "", *[""] * 7])
        expires = int(secret[7]) if secret[7] else None
        found[name] = Account(int(uid), int(gid), home, shell, secret[1], expires)
    return found


def _lines(name: str) -> list[list[str]]:
    return [line.split(":") for line in text(ETC / name).split("\n") if line]


def text(path: Path) -> str:
    """A file in which others choose words: any bytes, of which a newline alone ends a line. People name their processes
    and control groups so.
    """
    return path.read_bytes().decode(errors="surrogateescape")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for word in text.split(",") if word)


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []
