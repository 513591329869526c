"""The machine's program `warehouse`: what it finds wrong, what it would do about it, and what it leaves alone."""

from __future__ import annotations

import dataclasses
import grp
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROLES = Path(__file__).resolve().parents[2] / "roles"
for role in ("service_users", "warehouse"):
    sys.path.append(str(ROLES / role / "templates/usr/local/lib/hangar"))

import secret_files  # noqa: E402  (found by the lines above, as on the machine)
from hangar_warehouse import account, cluster, facts, passwords, server, steps  # noqa: E402
from hangar_warehouse.described import Described, Refused, Role, Schema  # noqa: E402

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")

VERIFIER = passwords.verifier("secret")
DESCRIBED = Described(
    version="17",
    uid=os.geteuid(),
    port=5432,
    roles={
        "dbt": Role("root", 10, {"statement_timeout": "1h"}, ("CONNECT", "TEMPORARY"), ()),
        "reader": Role("root", 5, {"statement_timeout": "5min"}, ("CONNECT",), ("pg_monitor",)),
    },
    schemas={"gold": Schema("dbt", ("reader",)), "silver": Schema("dbt", ())},
)
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


def test_tables_that_were_there_before_their_reader_are_opened(right: facts.Facts) -> None:
    right.unreadable.add(("gold", "reader"))
    assert sql(right) == ['GRANT SELECT ON ALL TABLES IN SCHEMA "gold" TO "reader"']


def test_a_verifier_is_the_standards() -> None:
    """The example of RFC 7677: its salt and password, and the keys that its messages prove."""
    made = passwords.verifier("pencil", bytes.fromhex("5b6d99689d123 58eeca04b141236fa81".replace(" ", "")))
    assert made == (
        "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="
        "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
    )


@pytest.mark.parametrize(
    "stored",
    [
        None,
        "",
        "md5" + "0" * 32,
        "SCRAM-SHA-256$4096:salt",
        "SCRAM-SHA-256$x:AAAA$AAAA:AAAA",
        passwords.verifier("Secret"),
    ],
)
def test_another_verifier_does_not_fit(stored: str | None) -> None:
    assert passwords.fits("secret", VERIFIER)
    assert not passwords.fits("secret", stored)


@pytest.fixture
def secrets_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    folder.mkdir()
    return folder


@needs_root
def test_passwords_are_made_once(secrets_folder: Path) -> None:
    assert passwords.look(DESCRIBED, secrets_folder) == ["dbt", "reader"]
    passwords.ensure(DESCRIBED, secrets_folder)
    made = passwords.kept_of(DESCRIBED, secrets_folder)
    assert len(set(made.values())) == 2
    assert min(len(value) for value in made.values()) >= 40
    passwords.ensure(DESCRIBED, secrets_folder)
    assert passwords.kept_of(DESCRIBED, secrets_folder) == made
    assert passwords.look(DESCRIBED, secrets_folder) == []


@needs_root
@pytest.mark.parametrize("mode", [0o444, 0o640, 0o400])
def test_a_password_with_other_rights_gets_them_back_and_keeps_its_value(
    secrets_folder: Path, mode: int
) -> None:
    passwords.ensure(DESCRIBED, secrets_folder)
    kept = (secrets_folder / "dbt").read_text()
    (secrets_folder / "dbt").chmod(mode)
    assert passwords.look(DESCRIBED, secrets_folder) == ["dbt"]
    passwords.ensure(DESCRIBED, secrets_folder)
    assert (secrets_folder / "dbt").read_text() == kept
    assert (secrets_folder / "dbt").stat().st_mode & 0o7777 == 0o440


@needs_root
def test_a_link_and_a_torn_file_are_no_password(secrets_folder: Path) -> None:
    (secrets_folder / "dbt").symlink_to("/etc/hostname")
    (secrets_folder / "reader").write_text("")
    (secrets_folder / ".reader.new").write_text("half")  # what a killed run left
    passwords.ensure(DESCRIBED, secrets_folder)
    assert sorted(path.name for path in secrets_folder.iterdir()) == ["dbt", "reader"]
    assert not (secrets_folder / "dbt").is_symlink()
    assert passwords.look(DESCRIBED, secrets_folder) == []


def test_a_group_that_is_not_there_is_named(secrets_folder: Path) -> None:
    odd = dataclasses.replace(
        DESCRIBED, roles={"dbt": dataclasses.replace(DESCRIBED.roles["dbt"], group="absent")}
    )
    (secrets_folder / "dbt").write_text("x")
    with pytest.raises(Refused) as refused:
        passwords.look(odd, secrets_folder)
    assert str(refused.value) == "warehouse_secret_groups: dbt: there is no group 'absent' on this machine."


def test_a_lost_password_is_named_before_the_database_is_asked(secrets_folder: Path) -> None:
    with pytest.raises(Refused) as refused:
        passwords.kept_of(DESCRIBED, secrets_folder)
    assert (
        str(refused.value)
        == f"{secrets_folder}/dbt is not there. Make it with: sudo warehouse ensure secrets"
    )


@needs_root
def test_a_secret_is_seen_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    secret_files.keep(path, "one", "root")
    opened = path.open()
    secret_files.keep(path, "another", "root")
    assert opened.read() == "one"
    assert path.read_text() == "another"
    assert secret_files.is_right(path, "another", "root")
    assert not secret_files.is_right(path, "one", "root")


def write(path: Path, text: str = "") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_cluster_that_is_there_is_adopted(tmp_path: Path) -> None:
    assert cluster.look(DESCRIBED, tmp_path / "absent") == ["is missing"]
    assert cluster.look(DESCRIBED, tmp_path) == ["is missing"]
    write(tmp_path / "PG_VERSION", "17\n")
    assert cluster.look(DESCRIBED, tmp_path) == []


def of_another_version(data: Path) -> None:
    write(data / "PG_VERSION", "16\n")


def of_another_kind(data: Path) -> None:
    write(data / "photos/1.jpg")


def a_file(data: Path) -> None:
    write(data)


def a_link(data: Path) -> None:
    write(data.parent / "elsewhere/PG_VERSION", "17\n")
    data.symlink_to(data.parent / "elsewhere")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            of_another_version,
            "holds data of Postgres 16, this role runs 17. It was left alone: bring it over with ",
        ),
        (
            of_another_kind,
            "holds something that is no Postgres cluster. It was left alone: look what it is, and ",
        ),
        (a_file, "is no folder. Move it away, or put the data there."),
        (a_link, "is no folder. Move it away, or put the data there."),
    ],
)
def test_data_that_cannot_be_used_are_left_alone(
    tmp_path: Path, make: Callable[[Path], None], said: str
) -> None:
    data = tmp_path / "postgres"
    make(data)
    before = sorted(str(path) for path in tmp_path.rglob("*"))
    for verb in (cluster.look, cluster.ensure):
        with pytest.raises(Refused) as refused:
            verb(DESCRIBED, data)
        assert str(refused.value).startswith(f"{data} {said}")
    assert sorted(str(path) for path in tmp_path.rglob("*")) == before


def test_data_of_another_owner_are_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "PG_VERSION", "17\n")
    other = dataclasses.replace(DESCRIBED, uid=os.geteuid() + 1)
    with pytest.raises(Refused) as refused:
        cluster.look(other, tmp_path)
    assert str(refused.value) == (
        f"{tmp_path} belongs to the number {os.geteuid()}, but warehouse has {other.uid}. "
        f"Set warehouse_uid to that number, or: sudo chown -R {other.uid}:{other.uid} {tmp_path}"
    )


@pytest.fixture
def initdb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for initdb, which begins a cluster and ends as it is told."""
    program = write(
        tmp_path / "bin/initdb", '#!/bin/sh\necho 17 > "$2/PG_VERSION"\n. "$(dirname "$0")/ending"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(Described, "programs", tmp_path / "bin")
    return write(tmp_path / "bin/ending")


@needs_root
def test_a_cluster_whose_making_failed_does_not_count(tmp_path: Path, initdb: Path) -> None:
    """Neither after an error nor after a kill is there half a cluster where the server would look for one."""
    data = tmp_path / "postgres"
    for ending, said in (("echo no room >&2; exit 1", "no room"), ("kill -9 $$", "")):
        initdb.write_text(ending)
        with pytest.raises(Refused) as refused:
            cluster.ensure(DESCRIBED, data)
        assert str(refused.value) == f"The cluster could not be made: {said}"
        assert not data.exists()
        assert (tmp_path / ".postgres.new/PG_VERSION").exists()
    initdb.write_text("exit 0")
    cluster.ensure(DESCRIBED, data)
    assert (data / "PG_VERSION").read_text() == "17\n"
    assert not (tmp_path / ".postgres.new").exists()


@needs_root
def test_a_cluster_is_made_once(tmp_path: Path, initdb: Path) -> None:
    data = tmp_path / "postgres"
    cluster.ensure(DESCRIBED, data)
    write(data / "rows", "kept")
    initdb.write_text("exit 1")
    cluster.ensure(DESCRIBED, data)
    assert (data / "rows").read_text() == "kept"


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Lays down who is on the machine: entries as in /etc/passwd, /etc/group and /etc/shadow."""

    def lay(passwd: str = "", group: str = "", shadow: str = "") -> None:
        users = [pwd.struct_passwd(_numbers(line, (2, 3))) for line in passwd.split()]
        groups = [
            grp.struct_group([*_numbers(line, (2,))[:3], line.split(":")[3].split(",")])
            for line in group.split()
        ]
        monkeypatch.setattr(pwd, "getpwall", lambda: users)
        monkeypatch.setattr(pwd, "getpwnam", lambda name: {user.pw_name: user for user in users}[name])
        monkeypatch.setattr(grp, "getgrall", lambda: groups)
        monkeypatch.setattr(account, "SHADOW", write(tmp_path / "shadow", shadow))

    return lay


def _numbers(line: str, places: tuple[int, ...]) -> list[Any]:
    fields: list[Any] = line.split(":")
    return [int(field) if number in places else field for number, field in enumerate(fields)]


NUMBERED = dataclasses.replace(DESCRIBED, uid=700)
RIGHT = "warehouse:x:700:700:Service:/srv/warehouse/home:/usr/sbin/nologin"


def test_an_account_is_missing_or_right(accounts: Callable[..., None]) -> None:
    accounts("root:x:0:0:root:/root:/bin/sh", "root:x:0:")
    assert account.look(NUMBERED) == ["is missing"]
    accounts(RIGHT, "warehouse:x:700:", "warehouse:!*:20000::::::")
    assert account.look(NUMBERED) == []


def test_what_somebody_changed_in_the_account_is_found(accounts: Callable[..., None]) -> None:
    accounts(
        "warehouse:x:700:0:Service:/srv/warehouse/home:/bin/bash",
        "warehouse:x:700: sudo:x:27:hangar,warehouse",
        "root:*:1\nwarehouse:$y$hash:20000",
    )
    assert account.look(NUMBERED) == [
        "has another home or shell",
        "has another group",
        "is in further groups",
        "has a password",
    ]


def test_a_number_that_is_taken_is_refused(accounts: Callable[..., None]) -> None:
    accounts("chrony:x:700:700:Clock:/:/usr/sbin/nologin", "chrony:x:700: warehouse:x:701:")
    with pytest.raises(Refused) as refused:
        account.look(NUMBERED)
    assert str(refused.value) == (
        "the account chrony has the number 700, but warehouse is to have 700; "
        "the group chrony has the number 700, but warehouse is to have 700; "
        "the group warehouse has the number 701, but warehouse is to have 700. "
        "Choose another number (warehouse_uid), or remove that account by hand."
    )


@pytest.mark.parametrize(
    ("line", "replaced"),
    [
        ("55d0-55d1 r-xp 0 00:2f 1 /usr/lib/postgresql/17/bin/postgres", False),
        ("55d0-55d1 r-xp 0 00:2f 1 /usr/lib/postgresql/17/bin/postgres (deleted)", True),
        ("7f00-7f01 r-xp 0 00:2f 1 /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)", True),
        ("7f00-7f01 rw-s 0 00:01 1 /dev/zero (deleted)", False),
        ("7f00-7f01 rw-s 0 00:01 1 /SYSV0052e2c1 (deleted)", False),
    ],
)
def test_code_that_was_replaced_is_noticed(tmp_path: Path, line: str, replaced: bool) -> None:
    write(tmp_path / "42/maps", f"{line}\n7f02-7f03 rw-p 0 00:00 0 [heap]\n")
    assert server.is_replaced("42", tmp_path) == replaced
    assert not server.is_replaced("43", tmp_path)


def test_the_owners_sessions_look_in_no_schema_that_others_make() -> None:
    """An operator there that fits a question better than Postgres' own would run as the owner of everything."""
    assert server.account(DESCRIBED)["env"]["PGOPTIONS"] == "-c search_path="
