# Written by Hangar (role backup). Changes made here are lost at the next run.
"""A dump is loaded by those whom its objects belong to, each in sessions of their own: what authors put into checks,
domains and indexes runs as them, and never as the owner of everything.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .databases import plain
from .described import WORK, Refused
from .running import run

LOADED = 8 * 3600
"""Seconds that a dump may take to be loaded."""

SECTIONS = ("pre-data", "data", "post-data")
LINE = re.compile(r"(?P<number>\d+); (?P<catalog>\d+) \d+ (?P<rest>.+)")
ACL = re.compile(r"0 ACL |826 DEFAULT ACL ")
"""Names in a list are not quoted. The numbers of the catalogs tell what a name only pretends to be."""

MAKES_ROOM = re.compile(
    r"(?:1259 (?:TABLE|VIEW|SEQUENCE|MATERIALIZED VIEW|FOREIGN TABLE)|1255 (?:FUNCTION|PROCEDURE|AGGREGATE)"
    r"|1247 (?:TYPE|DOMAIN)) (\S+) "
)
SCHEMAS = """
select nspname || chr(31) || pg_catalog.pg_get_userbyid(nspowner) from pg_catalog.pg_namespace
where nspname !~ '^pg_' and nspname <> 'information_schema'
"""


OURS = ("", "pg_database_owner")
"""Nobody, and whoever owns the database."""


@dataclass(frozen=True)
class Server:
    """How a Postgres is reached: `client` gives a program's words for a database and a role, to be run as `account`.
    `owner` is its superuser.
    """

    client: Callable[..., list[str]]
    account: str
    owner: str
    programs: Path


@dataclass(frozen=True)
class Entry:
    """A line of a dump's list: `owner` makes the object, "" where it belongs to nobody."""

    number: str
    what: str
    owner: str

    @property
    def is_acl(self) -> bool:
        return ACL.match(self.what) is not None


class Load:
    """One dump on its way into an empty database of the name `database`."""

    def __init__(self, server: Server, database: str, dump: Path, work: Path = WORK) -> None:
        self._server, self._database, self._dump, self._list = server, database, dump, work / "load.list"

    def by_owners(self, roles: Iterable[str]) -> None:
        """Load all of it, owners and rights as they were. For a dump of a server that only we administer.

        `roles` are those that may own something; the owner of everything (and of what is nobody's) makes the rest.

        Raises:
            Refused: something of it cannot be loaded, or belongs to somebody else.
        """
        sections = [self._entries(f"--section={section}") for section in SECTIONS]
        rights = [one for one in self._entries() if one.is_acl]
        found = {one.owner for one in itertools.chain(*sections)} - {self._server.owner, *OURS}
        if strange := sorted(found - set(roles)):
            raise Refused(
                f"The dump's objects belong to roles that the backup does not name: {', '.join(strange)}"
            )
        owners = sorted(found)
        schemas, rest = _parted(sections[0])
        with self._let_in(owners):
            self._make(schemas, owners)
            passing = self._passing(sections[0], owners)
            self._tell("".join(f"grant {right} to {quoted(role)};" for right, role in passing))
            self._make(rest, owners)
            self._make(sections[1], owners)
            # What follows may need them: references and views that are kept as tables.
            self._run(rights, self._server.owner)
            self._make(sections[2], owners)
            self._tell("".join(f"revoke {right} from {quoted(role)};" for right, role in passing))
            self._run(rights, self._server.owner)

    def by_one(self, role: str) -> None:
        """Load all of it as one role that is nobody's superuser. For a dump that others may have written.

        Raises:
            Refused: something of it cannot be loaded.
        """
        self._restore(role, "--no-privileges")

    def _entries(self, *words: str) -> list[Entry]:
        argv = [self._server.programs / "pg_restore", "--list", *words]
        with self._dump.open("rb") as source:
            told = run(
                argv, "Reading the dump's list", source=source, user=self._server.account, timeout=LOADED
            )
        lines = (LINE.fullmatch(line) for line in told.split("\n"))
        return [_entry(line) for line in lines if line]

    def _make(self, entries: Iterable[Entry], owners: Sequence[str]) -> None:
        """In the dump's own order: what comes later needs what came before."""
        entries = (one for one in entries if not one.is_acl)

        def maker(one: Entry) -> str:
            return one.owner if one.owner in owners else self._server.owner

        for role, some in itertools.groupby(entries, maker):
            self._run(list(some), role)

    def _run(self, entries: Sequence[Entry], role: str) -> None:
        if not entries:
            return
        self._list.write_text("".join(f"{one.number};\n" for one in entries))
        self._list.chmod(0o644)  # numbers only
        self._restore(role, f"--use-list={self._list}")

    def _restore(self, role: str, *words: str) -> None:
        # A role sets its own sessions as it likes.
        place = f"dbname={self._database} options='-c default_transaction_read_only=off -c search_path='"
        argv = self._server.client(
            "pg_restore", "--exit-on-error", "--no-owner", *words, database=place, role=role
        )
        with self._dump.open("rb") as source:
            what = f"Loading the dump into {self._database} as {role}"
            run(argv, what, source=source, user=self._server.account, timeout=LOADED)

    def _tell(self, text: str, database: str = "") -> str:
        """The owner of everything speaks; none of this names what others have written."""
        argv = self._server.client(
            "psql", *plain(), database=database or self._database, role=self._server.owner
        )
        return run(argv, "Asking the database", text=text, user=self._server.account).strip()

    def _passing(self, entries: Iterable[Entry], owners: Sequence[str]) -> list[tuple[str, str]]:
        """Rights that hold while it is loaded: to see each schema, and to make in it what one had there."""
        there = dict(line.split("\x1f") for line in self._tell(SCHEMAS).split("\n"))
        wanted = {("usage", schema, role) for schema in there for role in owners}
        made = ((MAKES_ROOM.match(one.what), one.owner) for one in entries)
        wanted |= {
            ("create", room[1], role) for room, role in made if room and room[1] in there and role in owners
        }
        # An owner's rights are his anyway: they are not to be taken when it ends.
        return [(f"{right} on schema {quoted(schema)}", role) for right, schema, role in sorted(wanted)
                if there[schema] != role]  # fmt: skip

    @contextlib.contextmanager
    def _let_in(self, owners: Sequence[str]) -> Iterator[None]:
        """Owners who cannot log in can for as long as this takes; all may make schemas."""
        names = ", ".join(f"'{role}'" for role in owners) or "''"
        asked = f"select rolname from pg_catalog.pg_roles where not rolcanlogin and rolname in ({names})"
        locked = self._tell(asked, "postgres").split()
        database = quoted(self._database)
        self._tell("".join(f"alter role {quoted(role)} login;" for role in locked), "postgres")
        try:
            self._tell("".join(f"grant create on database {database} to {quoted(role)};" for role in owners))
            yield
            self._tell(
                "".join(f"revoke create on database {database} from {quoted(role)};" for role in owners)
            )
        finally:
            self._tell("".join(f"alter role {quoted(role)} nologin;" for role in locked), "postgres")


def _entry(line: re.Match[str]) -> Entry:
    rest, _, owner = line["rest"].rpartition(" ")
    return Entry(line["number"], f"{line['catalog']} {rest} ", owner)


def _parted(entries: Iterable[Entry]) -> tuple[list[Entry], list[Entry]]:
    schemas, rest = [], []
    for one in entries:
        (schemas if one.what.startswith("2615 SCHEMA ") else rest).append(one)
    return schemas, rest


def quoted(name: str) -> str:
    """An identifier as SQL wants it."""
    return '"' + name.replace('"', '""') + '"'
