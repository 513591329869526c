"""Dumps that are restored, into a real Postgres: whole, with owners and rights, and with nobody's code as superuser."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hangar_backup import scratch
from hangar_backup.described import Described, Refused
from hangar_backup.loading import Load
from hangar_backup.running import run

VERSIONS = sorted(
    path.name for path in Path("/usr/lib/postgresql").glob("*") if (path / "bin/initdb").exists()
)
pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not VERSIONS, reason="needs root and Debian's postgresql"
)

DESCRIBED = Described(
    machine="hangar-local", airflow=True, airbyte=True, warehouse=True, warehouse_port=5432,
    postgres=VERSIONS[-1] if VERSIONS else "17", packages=(), folders=(), recipients=(),
    kept=2, full_days=7, max_age_hours=36, sftp=None, gcs=None,
)  # fmt: skip
OWNERS = ["airbyte", "dbt", "reader", "warehouse"]

ATTACK = """
create function raw.g() returns void language plpgsql as $$ begin
    execute 'copy (select current_user || '' '' || session_user) to program ''cat >> {proof}''';
exception when insufficient_privilege then null; end $$;
create function raw.f(a int) returns boolean language plpgsql immutable as $$ begin
    perform raw.g(); return true; end $$;
create table raw.orders (id int primary key, a int check (raw.f(a)));
create domain raw.checked as int check (raw.f(value));
create table raw.lines (id int references raw.orders, day raw.checked default 3, days raw.checked[] default '{{1}}');
create index on raw.orders ((raw.f(a)));
create materialized view raw.seen as select raw.f(a) from raw.orders;
insert into raw.orders values (1, 1), (2, 2);
insert into raw.lines values (1), (2);
"""
"""What a role can put into a schema of its own, to be run by whoever loads it."""

HOUSE = """
create role airbyte login connection limit 15; create role dbt login; create role reader;
create database warehouse template template0;
"""
RIGHTS = """
create schema raw authorization airbyte; create schema gold authorization dbt;
create extension pg_trgm schema gold;
grant usage on schema raw to dbt; grant usage on schema gold to reader;
alter default privileges for role airbyte in schema raw grant select on tables to dbt;
alter default privileges for role dbt in schema gold grant select on tables to reader;
revoke execute on function pg_catalog.lo_creat(integer) from public;
create table public.notes (x int);
insert into public.notes values (7);
"""
MARTS = """
create view gold.sums as select sum(a) from raw.orders;
create materialized view gold.kept as select * from raw.orders;
create table gold."Odd; name" (id serial primary key, t text);
insert into gold."Odd; name" (t) values (E'a\\nb');
create index on gold."Odd; name" using gin (t gold.gin_trgm_ops);
comment on table gold."Odd; name" is 'ALTER TABLE gold.x OWNER TO warehouse;';
create function gold.twice(x int) returns int language sql security definer as 'select 2 * x';
revoke all on function gold.twice(int) from public;
"""


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that the account postgres may pass; servers run without their unit."""
    started: list[Path] = []

    def control(folder: Path, *words: str) -> None:
        argv = [
            DESCRIBED.programs / "pg_ctl",
            "--wait",
            f"--log={folder}/log",
            f"--pgdata={folder}/data",
            *words,
        ]
        with (folder.parent / "control").open("wb") as sink:
            run(argv, "Starting or stopping", user=scratch.USER, sink=sink)

    def start(described: Described, folder: Path) -> None:
        words = " ".join(f"'{word}'" for word in scratch.server(described, folder)[3:])
        control(folder, "start", "--options", words)
        started.append(folder)

    def stop() -> None:
        # A cluster is begun with stopping one that was left; the first of all, which tests share, stays.
        while len(started) > 1:
            control(started.pop(), "stop", "--mode=immediate")

    folder = Path(tempfile.mkdtemp(prefix="hangar-"))
    folder.chmod(0o711)
    (folder / "proof").mkdir()
    shutil.chown(folder / "proof", "postgres")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scratch, "start", start)
        patch.setattr(scratch, "stop", stop)
        if DESCRIBED.postgres < "17":
            patch.setattr(scratch, "LOCALE", ("--encoding=UTF8", "--locale=C.UTF-8"))
        yield folder
    shutil.rmtree(folder)


def ask(one: scratch.Scratch, database: str, role: str, text: str) -> str:
    words = ("--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--set=ON_ERROR_STOP=1", "--file=-")
    return run(
        one._client("psql", *words, database=database, role=role), "Asking", text=text, user="postgres"
    )


def dump(one: scratch.Scratch, database: str, sink: Path | None = None) -> str:
    argv = one._client("pg_dump", *(["--format=custom"] if sink else []), database=database, role="warehouse")
    if sink is None:
        told = run(argv, "Dumping", user="postgres")
        return "\n".join(
            line for line in told.split("\n") if not line.startswith(("\\restrict", "\\unrestrict"))
        )
    with sink.open("wb") as stream:
        return run(argv, "Dumping", user="postgres", sink=stream)


@pytest.fixture(scope="module")
def cluster(place: Path) -> Iterator[scratch.Scratch]:
    """A warehouse with roles that own what they made, and one that lies in wait."""
    work = place / "house"
    work.mkdir(mode=0o711)
    with scratch.cluster(DESCRIBED, "warehouse", OWNERS, work) as one:
        ask(one, "postgres", "warehouse", HOUSE)
        ask(one, "warehouse", "warehouse", RIGHTS)
        ask(one, "warehouse", "airbyte", ATTACK.format(proof=place / "proof/ran"))
        ask(one, "warehouse", "dbt", MARTS)
        ask(one, "postgres", "warehouse", "alter database warehouse rename to pristine")
        assert not (place / "proof/ran").exists()
        yield one
        argv = [DESCRIBED.programs / "pg_ctl", f"--pgdata={work}/scratch/data", "stop", "--mode=immediate"]
        run(argv, "Stopping", user=scratch.USER)


@pytest.fixture
def house(cluster: scratch.Scratch) -> Iterator[scratch.Scratch]:
    """The warehouse as it was made, and an empty database beside it."""
    ask(
        cluster, "postgres", "warehouse",
        "create database warehouse template pristine;\ncreate database restored template template0;",
    )  # fmt: skip
    yield cluster
    ask(cluster, "postgres", "warehouse", "drop database warehouse;\ndrop database restored;")


def test_the_warehouse_comes_back_as_it_was_and_nobodys_code_runs_as_its_owner(
    place: Path, house: scratch.Scratch
) -> None:
    dump(house, "warehouse", place / "dump")
    before = ask(
        house, "postgres", "warehouse", "select rolname, rolcanlogin, rolsuper from pg_roles order by 1"
    )
    Load(house._server, "restored", place / "dump", place / "house").by_owners(OWNERS)
    assert not (place / "proof/ran").exists()
    assert dump(house, "restored") == dump(house, "warehouse")
    assert (
        ask(house, "restored", "warehouse", "select count(*) from raw.orders, raw.lines, gold.kept") == "8\n"
    )
    assert ask(
        house, "postgres", "warehouse", "select rolname, rolcanlogin, rolsuper from pg_roles order by 1"
    ) == (before)
    rights = "select datacl from pg_database where datname = 'restored'"
    assert ask(house, "postgres", "warehouse", rights) == "{=Tc/warehouse,warehouse=CTc/warehouse}\n"


def test_the_one_that_lies_in_wait_does_run_where_a_superuser_loads(
    place: Path, house: scratch.Scratch
) -> None:
    """Or the other tests would hold whatever is done."""
    dump(house, "warehouse", place / "dump")
    Load(house._server, "restored", place / "dump", place / "house").by_one("warehouse")
    assert "warehouse warehouse" in (place / "proof/ran").read_text()
    (place / "proof/ran").unlink()


def test_a_table_in_anothers_schema_comes_back_and_its_owner_has_no_more_than_before(
    place: Path, house: scratch.Scratch, request: pytest.FixtureRequest
) -> None:
    ask(house, "warehouse", "airbyte", "grant create on schema raw to dbt;"
        "create table raw.theirs (id int); insert into raw.theirs values (1)")  # fmt: skip
    ask(house, "warehouse", "dbt", "create table raw.mine (id int)")
    ask(
        house,
        "warehouse",
        "warehouse",
        "grant references on raw.orders to dbt; alter table raw.theirs owner to dbt",
    )
    ask(house, "warehouse", "dbt", "alter table raw.mine add foreign key (id) references raw.orders")
    ask(
        house,
        "warehouse",
        "warehouse",
        "revoke create on schema raw from dbt; alter role dbt nologin;"
        "alter role dbt set default_transaction_read_only = on",
    )
    request.addfinalizer(
        lambda: ask(house, "postgres", "warehouse", "alter role dbt login; alter role dbt reset all")
    )
    dump(house, "warehouse", place / "dump")
    Load(house._server, "restored", place / "dump", place / "house").by_owners(OWNERS)
    assert dump(house, "restored") == dump(house, "warehouse")
    assert (
        ask(house, "postgres", "warehouse", "select rolcanlogin from pg_roles where rolname = 'dbt'") == "f\n"
    )


@pytest.mark.parametrize("ours", [True, False], ids=["the warehouse's", "Airflow's"])
def test_a_trial_runs_nobodys_code_as_superuser(place: Path, house: scratch.Scratch, ours: bool) -> None:
    """Airflow's services administer their database: there even what pg_dump writes is theirs to choose."""
    dump(house, "warehouse", place / "dump")
    work = place / "trial"
    work.mkdir(mode=0o711, exist_ok=True)
    owner, roles = ("warehouse", OWNERS) if ours else ("trial", ["airflow"])
    with scratch.cluster(DESCRIBED, owner, roles, work) as one:
        assert one.restore("tried", place / "dump", roles, ours=ours) == 4
        assert ask(one, "tried", owner, "select count(*) from raw.orders, raw.lines, gold.kept") == "8\n"
    assert not (work / "scratch").exists()
    assert not (place / "proof/ran").exists()


def test_a_dump_that_does_not_load_is_refused(place: Path, house: scratch.Scratch) -> None:
    dump(house, "warehouse", place / "dump")
    with (place / "dump").open("rb+") as stream:
        stream.truncate((place / "dump").stat().st_size // 2)
    with pytest.raises(Refused):
        Load(house._server, "restored", place / "dump", place / "house").by_owners(OWNERS)


def test_what_belongs_to_an_unknown_role_is_not_loaded_by_the_owner(
    place: Path, house: scratch.Scratch
) -> None:
    dump(house, "warehouse", place / "dump")
    with pytest.raises(Refused) as refused:
        Load(house._server, "restored", place / "dump", place / "house").by_owners(["dbt", "reader"])
    assert str(refused.value) == "The dump's objects belong to roles that the backup does not name: airbyte"
    assert not (place / "proof/ran").exists()


def test_names_do_not_pretend_to_be_rights(place: Path, house: scratch.Scratch) -> None:
    """Rights alone are given by the owner of everything; the list that tells them apart quotes no names."""
    ask(house, "warehouse", "warehouse", 'create schema "ACL" authorization airbyte')
    ask(house, "warehouse", "airbyte", 'create table "ACL"."DEFAULT PRIVILEGES FOR" ("TABLES" int default 1,'
        "days raw.checked[] default '{1}')")  # fmt: skip
    dump(house, "warehouse", place / "dump")
    found = Load(house._server, "restored", place / "dump", place / "house")._entries()
    assert [one.owner for one in found if "DEFAULT ACL DEFAULT PRIVILEGES FOR TABLES" in one.what] == []
    Load(house._server, "restored", place / "dump", place / "house").by_owners(OWNERS)
    assert not (place / "proof/ran").exists()
