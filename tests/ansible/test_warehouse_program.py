"""The machine's program `warehouse`: what it finds wrong, what it would do about it, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from hangar_warehouse import facts, passwords, steps

from tests.ansible.stored import DESCRIBED, VERIFIER

PASSWORDS = {"dbt": "secret", "reader": "secret"}


def role(connections: int, settings: list[str], **other: Any) -> dict[str, Any]:
    plain = dict.fromkeys(steps.POWERS, False)
    found = {**plain, "inherit": True, "login": True, "connections": connections, "expires": False}
    return {**found, "stored": VERIFIER, "settings": settings, "elsewhere": [], **other}


@pytest.fixture
def right() -> facts.Facts:
    """A database that is as it is described."""
    return facts.Facts(
        roles={
            "warehouse": role(-1, [], superuser=True, stored=None),
            "dbt": role(10, ["statement_timeout=1h"]),
            "reader": role(5, ["statement_timeout=5min"]),
        },
        members=[("pg_monitor", "reader", "warehouse"), ("pg_read_all_settings", "pg_monitor", "warehouse")],
        schemas={"gold": "dbt", "silver": "dbt", "public": "pg_database_owner"},
        rights={
            "database warehouse": {("dbt", "CONNECT"), ("dbt", "TEMPORARY"), ("reader", "CONNECT")},
            "schema gold": {("reader", "USAGE")},
            "tables of dbt in gold": {("reader", "SELECT")},
        },
        unreadable={("silver", "reader"), ("gold", "monitor")},
    )


def sql(found: facts.Facts) -> list[str]:
    return [step.sql for step in steps.needed(DESCRIBED, PASSWORDS, found)]


def test_nothing_is_done_where_nothing_differs(right: facts.Facts) -> None:
    assert steps.needed(DESCRIBED, PASSWORDS, right) == []


def test_a_new_database_gets_everything() -> None:
    found = facts.Facts({"warehouse": role(-1, [], superuser=True, stored=None)}, [], {}, {}, set())
    done = sql(found)
    assert done[0] == 'CREATE ROLE "dbt" LOGIN CONNECTION LIMIT 10'
    assert 'CREATE SCHEMA "gold" AUTHORIZATION "dbt"' in done
    assert (
        'ALTER DEFAULT PRIVILEGES FOR ROLE "dbt" IN SCHEMA "gold" GRANT SELECT ON TABLES TO "reader"' in done
    )
    # What is granted on is made before.
    assert done.index('CREATE SCHEMA "gold" AUTHORIZATION "dbt"') < done.index(
        'GRANT USAGE ON SCHEMA "gold" TO "reader"'
    )


def test_a_step_for_people_holds_no_password(right: facts.Facts) -> None:
    right.roles["dbt"]["stored"] = passwords.verifier("other")
    (step,) = steps.needed(DESCRIBED, PASSWORDS, right)
    assert step.what == "role dbt: set its password"
    assert "secret" not in step.sql
    assert passwords.fits("secret", step.sql.split("'")[1])


@pytest.mark.parametrize(
    ("drift", "undone"),
    [
        ({"superuser": True, "bypassrls": True}, 'ALTER ROLE "dbt" NOSUPERUSER NOBYPASSRLS'),
        ({"connections": -1}, "ALTER ROLE \"dbt\" LOGIN INHERIT CONNECTION LIMIT 10 VALID UNTIL 'infinity'"),
        ({"login": False}, "ALTER ROLE \"dbt\" LOGIN INHERIT CONNECTION LIMIT 10 VALID UNTIL 'infinity'"),
        ({"expires": True}, "ALTER ROLE \"dbt\" LOGIN INHERIT CONNECTION LIMIT 10 VALID UNTIL 'infinity'"),
        (
            {"settings": ["statement_timeout=0"]},
            'ALTER ROLE "dbt" RESET ALL; ALTER ROLE "dbt" SET statement_timeout = \'1h\'',
        ),
        ({"elsewhere": ["warehouse"]}, 'ALTER ROLE "dbt" IN DATABASE "warehouse" RESET ALL'),
    ],
)
def test_what_a_role_was_given_is_taken_back(right: facts.Facts, drift: dict[str, Any], undone: str) -> None:
    right.roles["dbt"].update(drift)
    assert sql(right) == [undone]


def test_superusers_besides_the_owner_lose_it_whoever_they_are(right: facts.Facts) -> None:
    right.roles['o"dd'] = role(-1, [], superuser=True)
    right.roles["somebody"] = role(-1, [], createdb=True)
    right.roles["warehouse"]["stored"] = VERIFIER
    assert sql(right) == ['ALTER ROLE "o""dd" NOSUPERUSER', 'ALTER ROLE "warehouse" PASSWORD NULL']


def test_memberships_are_exact(right: facts.Facts) -> None:
    right.members[0] = ("dbt", "reader", "somebody")
    assert sql(right) == [
        'GRANT "pg_monitor" TO "reader"',
        'REVOKE "dbt" FROM "reader" GRANTED BY "somebody" CASCADE',
    ]


def test_rights_are_exact(right: facts.Facts) -> None:
    right.rights["schema public"] = {("public", "USAGE")}
    right.rights["schema silver"] = {("reader", "USAGE")}
    right.rights["tables of dbt"] = {("public", "SELECT")}
    right.rights["function lo_create(oid)"] = {("public", "EXECUTE")}
    right.rights["schema of_somebody"] = {("public", "USAGE")}
    right.rights["schema gold"] = set()
    assert sql(right) == [
        "REVOKE EXECUTE ON FUNCTION pg_catalog.lo_create(oid) FROM PUBLIC CASCADE",
        'GRANT USAGE ON SCHEMA "gold" TO "reader"',
        'REVOKE USAGE ON SCHEMA "public" FROM PUBLIC CASCADE',
        'REVOKE USAGE ON SCHEMA "silver" FROM "reader" CASCADE',
        'ALTER DEFAULT PRIVILEGES FOR ROLE "dbt" REVOKE SELECT ON TABLES FROM PUBLIC CASCADE',
    ]


@pytest.mark.parametrize("schema", ["my schema", "a in b", "in", ' "x"; drop\n', "grüße"])
def test_a_schema_that_a_service_made_may_have_any_name(right: facts.Facts, schema: str) -> None:
    """What is promised away in it is taken back, and everything else is still done"""
    right.rights[f"tables of dbt in {schema}"] = {("reader", "INSERT")}
    right.rights["schema gold"] = set()
    assert sorted(sql(right)) == [
        f'ALTER DEFAULT PRIVILEGES FOR ROLE "dbt" IN SCHEMA {steps.name(schema)} '
        'REVOKE INSERT ON TABLES FROM "reader" CASCADE',
        'GRANT USAGE ON SCHEMA "gold" TO "reader"',
    ]


def test_what_others_promise_about_their_own_tables_is_theirs(right: facts.Facts) -> None:
    """Also of those whose names begin with one of ours"""
    for place in ("tables of dbt2", "tables of dbt_x in a", "tables of dbt x in a b"):
        right.rights[place] = {("public", "SELECT")}
    assert sql(right) == []


def test_tables_that_were_there_before_their_reader_are_opened(right: facts.Facts) -> None:
    right.unreadable.add(("gold", "reader"))
    assert sql(right) == ['GRANT SELECT ON ALL TABLES IN SCHEMA "gold" TO "reader"']
