"""What accidents and strangers' hands leave of the warehouse: nothing that lasts. Ends people's work."""

import json
import shlex

import pytest
from warehouse_contract import DATA, DENIED, PROGRAMS, SECRETS, answers

UNITS = ("warehouse.service",)

pytestmark = pytest.mark.disturbs


def test_a_service_that_is_not_declared_does_not_reach_the_warehouse(host, contained, port):
    """The containers of a service that is not declared do not reach the warehouse"""
    assert contained("airbyte", answers(port)) == 0
    try:
        rules = json.loads(
            host.check_output("nft --json --handle list chain inet hangar_firewall loopback_airbyte")
        )
        rule = next(
            one["rule"] for one in rules["nftables"] if "accept" in str(one.get("rule", {}).get("expr"))
        )
        host.check_output(f"nft delete rule inet hangar_firewall loopback_airbyte handle {rule['handle']}")
        assert contained("airbyte", answers(port)) != 0
        assert contained("airflow", answers(port)) == 0
    finally:
        host.check_output("systemctl reload hangar-firewall.service")


def until(command):
    """A shell command that waits until another one succeeds, for a minute at most."""
    return f"timeout 60 sh -c {shlex.quote(f'until {command}; do sleep 0.1; done')}"


# Begins a load and leaves it at work: argument 0 is the port, 1 the statements, which have to come to a pg_sleep.
LOAD = f"""
export PGPASSFILE=$(mktemp)
trap 'rm $PGPASSFILE' EXIT
(printf '*:*:*:*:'; cat {SECRETS}/loader) > $PGPASSFILE
{PROGRAMS}/psql -XAtqw -h 127.0.0.1 -p $0 -U loader -d warehouse -c "$1" > /dev/null 2>&1 < /dev/null &
asleep="select 1 / count(*) from pg_stat_activity where wait_event = 'PgSleep' and usename = 'loader'"
timeout 30 sh -c 'until warehouse psql -XAtqc "$0"; do sleep 0.1; done' "$asleep" > /dev/null 2>&1
"""


@pytest.fixture
def table(sessions, schemas):
    """A table of the loader's with one committed row."""
    name = f"{schemas['landing']}.hangar_contract_kept"
    drop = ("loader", f"drop table if exists {name}")
    made = sessions({"drop": drop, "make": ("loader", f"create table {name} as select 1 as n")})
    assert set(made.values()) == {""}
    yield name
    sessions({"drop": drop})


def test_data_survive_a_restart(host, sessions, table):
    host.check_output("systemctl restart warehouse.service")
    assert sessions({"read": ("loader", f"select n from {table}")}) == {"read": "1"}


def test_a_killed_server_comes_back_without_losing_or_doubling_a_row(host, sessions, table, port, owner):
    """A server that is killed in the middle of a load comes back: what was committed is there, the rest is not"""
    before = host.check_output("systemctl show warehouse.service --property MainPID --value")
    begun = f"begin; insert into {table} select generate_series(2, 1000); select pg_sleep(60); commit"
    host.check_output(f"bash -c {shlex.quote(LOAD)} {port} {shlex.quote(begun)}")
    host.check_output(f"kill -KILL {before}; tail --pid={before} --follow /dev/null")
    host.check_output(until(answers(port, "127.0.0.1")))
    assert host.check_output("systemctl show warehouse.service --property MainPID --value") != before
    assert sessions({"read": ("loader", f"select count(*), max(n) from {table}")}) == {"read": "1|1"}
    assert sessions({"write": ("loader", f"insert into {table} values (2)")}) == {"write": ""}


@pytest.fixture
def small_disk(host):
    """Lets the warehouse work on a copy of its data on a disk that is nearly full; yields how to make it larger."""
    place = "/run/hangar-contract-warehouse"
    host.check_output(
        f"systemctl stop warehouse.service && mkdir {place} && mount -t tmpfs -o size=150M tmpfs {place} "
        f"&& cp --archive {DATA}/. {place}/ && chown --reference={DATA} {place} && chmod 0700 {place} "
        f"&& mount --bind {place} {DATA} && systemctl start warehouse.service"
    )
    yield lambda: host.check_output(f"mount -o remount,size=1G {place}")
    host.check_output(
        f"systemctl stop warehouse.service; umount {DATA}; umount {place}; rmdir {place}; "
        "systemctl reset-failed warehouse.service; systemctl start warehouse.service"
    )


def test_a_full_disk_ends_the_load_and_loses_nothing(host, small_disk, table, sessions, port):
    """A full disk ends the load that filled it; with room again the warehouse is back by itself, with all its rows"""
    fill = f"insert into {table} select generate_series(2, 20000000)"
    said = sessions({"fill": ("loader", fill)})["fill"]
    assert "No space left on device" in said or "server closed the connection" in said
    small_disk()
    host.check_output(until(answers(port, "127.0.0.1")))
    told = sessions({
        "read": ("loader", f"select count(*), max(n) from {table}"),
        "write": ("loader", f"insert into {table} values (2)"),
    })  # fmt: skip
    assert told == {"read": "1|1", "write": ""}


def test_data_from_another_machine_are_adopted(host, sessions, table):
    """Data that come with a disk to a machine without the account are taken over as they are"""
    host.check_output("systemctl disable --now warehouse.service; userdel warehouse")
    assert host.run("getent passwd warehouse").rc == 2
    made = host.check_output(f"stat --format %W {DATA}/PG_VERSION")
    assert host.check_output("warehouse look").splitlines()[0] == "account warehouse is missing"
    host.check_output("warehouse ensure")
    assert host.check_output(f"stat --format %W {DATA}/PG_VERSION") == made
    assert sessions({"read": ("loader", f"select n from {table}")}) == {"read": "1"}
    assert host.check_output("warehouse look") == ""


def test_code_that_was_replaced_is_run_no_longer(host, port):
    """When its program is replaced, as an upgrade does, the server starts from the new one once packages are done"""
    show = "systemctl show warehouse.service --property MainPID --value"
    before = host.check_output(show)
    host.check_output(
        f"cd {PROGRAMS} && cp --preserve=all postgres .new && mv .new postgres && /usr/local/sbin/warehouse renew"
    )
    host.check_output(f"tail --pid={before} --follow /dev/null; {until(answers(port, '127.0.0.1'))}")
    assert host.check_output(show) != before
    assert host.check_output("warehouse renew; warehouse look") == ""


GIVEN = {
    "create role intruder login superuser": "role intruder: take superuser away",
    "alter role reader superuser createrole": "role reader: take superuser, createrole away",
    "alter role reader connection limit 99": "role reader: set how it logs in",
    "alter role dbt set statement_timeout = 0": "role dbt: set its settings",
    "alter role loader password 'well-known'": "role loader: set its password",
    "grant dbt to reader": "role reader: end its membership of dbt",
    "grant pg_write_all_data to airbyte": "role airbyte: end its membership of pg_write_all_data",
    "grant usage on schema silver to public": "schema silver: take USAGE from public",
    "grant create on schema gold to reader with grant option": "schema gold: take CREATE from reader",
    "grant connect on database postgres to public": "database postgres: take CONNECT from public",
    "alter schema bronze owner to reader": "schema bronze: give it to dbt",
}
"""What somebody did by hand, and what undoes it."""


def test_rights_that_somebody_gave_are_taken_away_again(host, owner, sessions):
    """Rights that somebody gave by hand are found, and taken away again by the next run"""
    known = {"known": ("loader", "well-known", "warehouse", "select 1")}
    try:
        owner(*GIVEN)
        assert sessions(known) == {"known": "1"}
        assert set(host.check_output("warehouse look").splitlines()) == {
            f"database: {what}" for what in GIVEN.values()
        }
        host.check_output("warehouse ensure")
        assert host.check_output("warehouse look") == ""
        assert owner("select rolname from pg_roles where rolsuper") == "warehouse"
        assert "password authentication failed" in sessions(known)["known"]
        told = sessions({
            "silver": ("reader", "begin; create table silver.x (n int); rollback"),
            "gold": ("reader", "begin; create table gold.x (n int); rollback"),
            "become": ("reader", "set role dbt"),
        })  # fmt: skip
        assert all("permission denied" in said for said in told.values()), told
    finally:
        host.check_output("warehouse ensure")
        owner("drop role if exists intruder")


def test_a_schema_that_was_dropped_is_made_again_with_its_rights(host, sessions, schemas):
    """A schema that its owner dropped is made again, and what is put there later is readable as before"""
    schema = schemas["landing"]
    tables = sessions({"before": ("loader", f"select count(*) from pg_tables where schemaname = '{schema}'")})
    assert tables == {"before": "0"}
    made = sessions({"drop": ("loader", f"drop schema {schema}")})
    try:
        assert made == {"drop": ""}
        host.check_output("warehouse ensure")
        told = sessions({
            "make": ("loader", f"create table {schema}.hangar_contract as select 7 as n"),
            "read": ("dbt", f"select n from {schema}.hangar_contract"),
            "other": ("reader", f"select n from {schema}.hangar_contract"),
        })  # fmt: skip
        assert (told["make"], told["read"]) == ("", "7")
        assert DENIED in told["other"]
    finally:
        host.check_output("warehouse ensure")
        sessions({"drop": ("loader", f"drop table if exists {schema}.hangar_contract")})


def test_a_lost_password_is_made_anew_and_counts(host, sessions):
    """A password that was lost is made anew, and the old one counts no more"""
    host.check_output(f"mv {SECRETS}/monitor /root/lost-password")
    try:
        assert host.check_output("warehouse look").splitlines()[0] == "secrets monitor"
        host.check_output("warehouse ensure secrets && warehouse ensure")
        assert sessions({"new": ("monitor", "select 1")}) == {"new": "1"}
        assert host.run(f"cmp --silent /root/lost-password {SECRETS}/monitor").rc == 1
    finally:
        host.run("rm -f /root/lost-password")
    assert host.check_output("warehouse look") == ""
