# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""From what is true to what is wanted: the statements that are needed, none when nothing is."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .described import OWNER, Described
from .facts import Facts, Right
from .passwords import fits, verifier

POWERS = {
    "superuser": "NOSUPERUSER",
    "createrole": "NOCREATEROLE",
    "createdb": "NOCREATEDB",
    "replication": "NOREPLICATION",
    "bypassrls": "NOBYPASSRLS",
}
LATER = re.compile(r"tables of (\S+)(?: in (.+))?", re.DOTALL)
"""Where rights to tables that are yet to come stand: whose tables, and in which schema. Services make schemas of their
own, and choose their names; the roles' names are ours.
"""
LARGE_OBJECTS = ("lo_create(oid)", "lo_creat(integer)", "lo_from_bytea(oid,bytea)")
"""They belong to no schema: with these everybody could write, the reader too."""


@dataclass(frozen=True)
class Step:
    """`what` is for people and holds no secret; `sql` may."""

    what: str
    sql: str


def needed(described: Described, passwords: Mapping[str, str], facts: Facts) -> list[Step]:
    """Every step, in an order in which they can be taken within one transaction."""
    return [
        *_roles(described, passwords, facts),
        *_powers_of_others(described, facts),
        *_members(described, facts),
        *_schemas(described, facts),
        *_rights(described, facts),
        *_tables(described, facts),
    ]


def name(text: str) -> str:
    """An identifier as SQL wants it."""
    return '"' + text.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL wants it."""
    return "'" + text.replace("'", "''") + "'"


def _roles(described: Described, passwords: Mapping[str, str], facts: Facts) -> Iterator[Step]:
    for role, wanted in described.roles.items():
        found = facts.roles.get(role)
        if found is None:
            yield Step(
                f"role {role}: make it",
                f"CREATE ROLE {name(role)} LOGIN CONNECTION LIMIT {wanted.connections}",
            )
            found = {"login": True, "inherit": True, "connections": wanted.connections}
        lost = [power for power in POWERS if found.get(power)]
        if lost:
            yield Step(
                f"role {role}: take {', '.join(lost)} away",
                f"ALTER ROLE {name(role)} {' '.join(POWERS[power] for power in lost)}",
            )
        plain = (found["login"], found["inherit"], found["connections"], found.get("expires", False))
        if plain != (True, True, wanted.connections, False):
            yield Step(
                f"role {role}: set how it logs in",
                f"ALTER ROLE {name(role)} LOGIN INHERIT CONNECTION LIMIT {wanted.connections} VALID UNTIL 'infinity'",
            )
        # The verifier differs each time it is made, so what is stored is asked whether it fits.
        if not fits(passwords[role], found.get("stored")):
            yield Step(
                f"role {role}: set its password",
                f"ALTER ROLE {name(role)} PASSWORD {literal(verifier(passwords[role]))}",
            )
        yield from _settings(role, wanted.settings, found.get("settings", []), found.get("elsewhere", []))


def _settings(role: str, wanted: Mapping[str, str], found: list[str], elsewhere: list[str]) -> Iterator[Step]:
    for database in elsewhere:
        yield Step(
            f"role {role}: take its settings in {database} away",
            f"ALTER ROLE {name(role)} IN DATABASE {name(database)} RESET ALL",
        )
    if sorted(found) != sorted(f"{key}={value}" for key, value in wanted.items()):
        chosen = [f"ALTER ROLE {name(role)} SET {key} = {literal(value)}" for key, value in wanted.items()]
        yield Step(
            f"role {role}: set its settings", "; ".join([f"ALTER ROLE {name(role)} RESET ALL", *chosen])
        )


def _powers_of_others(described: Described, facts: Facts) -> Iterator[Step]:
    """The owner alone is superuser, and has no password."""
    for role, found in facts.roles.items():
        if role not in (OWNER, *described.roles) and found["superuser"]:
            yield Step(f"role {role}: take superuser away", f"ALTER ROLE {name(role)} NOSUPERUSER")
    if facts.roles[OWNER]["stored"] is not None:
        yield Step(f"role {OWNER}: take its password away", f"ALTER ROLE {name(OWNER)} PASSWORD NULL")


def _members(described: Described, facts: Facts) -> Iterator[Step]:
    wanted = {(group, role) for role, one in described.roles.items() for group in one.member_of}
    found = {(group, role) for group, role, _ in facts.members}
    for group, role in sorted(wanted - found):
        yield Step(f"role {role}: let it be a member of {group}", f"GRANT {name(group)} TO {name(role)}")
    for group, role, grantor in facts.members:
        if (group, role) not in wanted and {group, role} & {*described.roles, OWNER}:
            yield Step(
                f"role {role}: end its membership of {group}",
                f"REVOKE {name(group)} FROM {name(role)} GRANTED BY {name(grantor)} CASCADE",
            )


def _schemas(described: Described, facts: Facts) -> Iterator[Step]:
    for schema, wanted in described.schemas.items():
        owner = facts.schemas.get(schema)
        if owner is None:
            yield Step(
                f"schema {schema}: make it",
                f"CREATE SCHEMA {name(schema)} AUTHORIZATION {name(wanted.owner)}",
            )
        elif owner != wanted.owner:
            yield Step(
                f"schema {schema}: give it to {wanted.owner}",
                f"ALTER SCHEMA {name(schema)} OWNER TO {name(wanted.owner)}",
            )


def wanted_rights(described: Described) -> dict[str, set[Right]]:
    """Who may do what where, the owners' own left out. What is not said here is nobody's."""
    wanted: dict[str, set[Right]] = {
        "schema public": set(),
        "database postgres": set(),
        "database template1": set(),
        f"database {OWNER}": {(role, right) for role, one in described.roles.items() for right in one.rights},
    }
    wanted |= {f"function {function}": set() for function in LARGE_OBJECTS}
    for schema, one in described.schemas.items():
        wanted[f"schema {schema}"] = {(reader, "USAGE") for reader in one.readers}
        for reader in one.readers:
            wanted.setdefault(f"tables of {one.owner} in {schema}", set()).add((reader, "SELECT"))
    return wanted


def _rights(described: Described, facts: Facts) -> Iterator[Step]:
    wanted = wanted_rights(described)
    # What a service promised away by itself for tables to come.
    strays = {
        place for place in facts.rights if (one := LATER.fullmatch(place)) and one[1] in described.roles
    }
    for place in sorted({*wanted, *strays}):
        found, right = facts.rights.get(place, set()), wanted.get(place, set())
        for who, what in sorted(found - right):
            yield Step(f"{place}: take {what} from {who}", _statement(place, "REVOKE", what, "FROM", who))
        for who, what in sorted(right - found):
            yield Step(f"{place}: give {what} to {who}", _statement(place, "GRANT", what, "TO", who))


def _statement(place: str, verb: str, right: str, direction: str, who: str) -> str:
    who = "PUBLIC" if who == "public" else name(who)
    ending = " CASCADE" if verb == "REVOKE" else ""
    if later := LATER.fullmatch(place):
        schema = f" IN SCHEMA {name(later[2])}" if later[2] else ""
        return (
            f"ALTER DEFAULT PRIVILEGES FOR ROLE {name(later[1])}{schema} "
            f"{verb} {right} ON TABLES {direction} {who}{ending}"
        )
    kind, _, target = place.partition(" ")
    on = f"FUNCTION pg_catalog.{target}" if kind == "function" else f"{kind.upper()} {name(target)}"
    return f"{verb} {right} ON {on} {direction} {who}{ending}"


def _tables(described: Described, facts: Facts) -> Iterator[Step]:
    """Tables that were there before their readers were."""
    for schema, one in described.schemas.items():
        for reader in one.readers:
            if (schema, reader) in facts.unreadable:
                yield Step(
                    f"schema {schema}: let {reader} read its tables",
                    f"GRANT SELECT ON ALL TABLES IN SCHEMA {name(schema)} TO {name(reader)}",
                )
