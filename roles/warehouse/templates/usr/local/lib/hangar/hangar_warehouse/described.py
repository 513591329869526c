# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""What the warehouse is to be, as the role wrote it down."""

import json
from dataclasses import dataclass
from pathlib import Path

DESCRIPTION = Path("/etc/hangar/warehouse/warehouse.json")
OWNER = "warehouse"
"""The account, its group, the role that owns everything and the database: all of one name."""

HOME = Path("/srv/warehouse")
DATA = HOME / "postgres"
SECRETS = HOME / "secrets"
SOCKETS = Path("/run/warehouse")
UNIT = "warehouse.service"


class Refused(Exception):
    """Something that a person has to decide; the message says what, and what to do about it."""


@dataclass(frozen=True)
class Role:
    """Who logs in. `group` may read its password; `settings` hold for each of its sessions."""

    group: str
    connections: int
    settings: dict[str, str]
    rights: tuple[str, ...]
    member_of: tuple[str, ...]


@dataclass(frozen=True)
class Schema:
    """Whose it is, and who reads all that its owner puts there."""

    owner: str
    readers: tuple[str, ...]


@dataclass(frozen=True)
class Described:
    """`version` is Postgres' major version, `uid` the number of the account and of its group."""

    version: str
    uid: int
    port: int
    roles: dict[str, Role]
    schemas: dict[str, Schema]

    @property
    def programs(self) -> Path:
        """Where Debian puts this version's programs."""
        return Path(f"/usr/lib/postgresql/{self.version}/bin")

    @property
    def package(self) -> str:
        return f"postgresql-{self.version}"


def load(path: Path = DESCRIPTION) -> Described:
    """Read the description; the role has checked it."""
    found = json.loads(path.read_text())
    roles = {
        name: Role(
            group=role["group"],
            connections=role["connections"],
            settings=role["settings"],
            rights=tuple(role["rights"]),
            member_of=tuple(role["member_of"]),
        )
        for name, role in found["roles"].items()
    }
    schemas = {
        name: Schema(schema["owner"], tuple(schema["readers"])) for name, schema in found["schemas"].items()
    }
    return Described(found["version"], found["uid"], found["port"], roles, schemas)
