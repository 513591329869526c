# Written by Hangar (role warehouse). Changes made here are lost at the next run.
"""The database, its roles and their rights: brought in one transaction to what is described."""

from . import facts, passwords, server, steps
from .described import OWNER, Described, Refused

QUIET = """
-- What follows holds verifiers of passwords: whatever the settings say, none of it goes into the log.
set log_statement = 'none';
set log_min_duration_statement = -1;
set log_min_error_statement = 'panic';
"""


def look(described: Described) -> list[str]:
    """What differs from the description, in words."""
    if not exists(described):
        return [f"database {OWNER}: make it"]
    return [step.what for step in needed(described)]


def exists(described: Described) -> bool:
    asked = _asked(described, "postgres", f"select count(*) from pg_database where datname = '{OWNER}'")
    return asked.strip() == "1"


def needed(described: Described) -> list[steps.Step]:
    """The steps from what is there to what is wanted."""
    found = facts.read(_asked(described, OWNER, facts.QUESTION))
    return steps.needed(described, passwords.kept_of(described), found)


def ensure(described: Described) -> list[str]:
    """Take them, all or none. Returns what was done; Refused where something is left to do."""
    done = []
    if not exists(described):
        _asked(described, "postgres", f"create database {OWNER}")
        done.append(f"database {OWNER}: make it")
    taken = needed(described)
    if taken:
        statements = "".join(f"{step.sql};\n" for step in taken)
        _asked(described, OWNER, f"{QUIET}begin;\n{statements}commit;\n")
    if left := needed(described):
        raise Refused(f"The database did not take it: {'; '.join(step.what for step in left)}")
    return [*done, *(step.what for step in taken)]


def _asked(described: Described, database: str, sql: str) -> str:
    answer = server.psql(described, database, sql)
    if answer.returncode != 0:
        raise Refused(f"Postgres refused ({database}): {answer.stderr.strip()}")
    return answer.stdout
