"""What is backed up, that nobody but the operator's key opens it, and that half a backup is none."""

import json
import shlex

import pytest

UNITS = ("hangar-backup.service", "hangar-backup.timer")
SPOOL = "/srv/backup/spool"
SEALED = "age-encryption.org/v1"


@pytest.fixture(scope="module")
def shown(host):
    return json.loads(host.check_output("backup show"))


def test_backups_are_made_in_time(host, shown):
    assert host.check_output("systemctl is-active hangar-backup.timer") == "active"
    assert shown["timer"]["NextElapseUSecRealtime"].strip("@0")


def test_there_is_a_public_key_to_encrypt_to(shown):
    assert shown["recipients"]
    assert not [key for key in shown["recipients"] if not key.startswith(("age1", "ssh-"))]


def test_nothing_on_the_machine_opens_a_backup(host):
    """Neither age's own keys nor the one whose public half is used lie anywhere that backups or services know."""
    assert host.run("grep -rlsE 'AGE-SECRET-KEY-1' /srv/backup /etc/hangar /root").stdout == ""
    public = host.check_output("cut -d' ' -f2 /srv/backup/recipients").splitlines()
    own = host.run("for key in $(find /srv/backup /root /etc/ssh -name 'id_*' -o -name 'ssh_host_*_key'); do "
                   "ssh-keygen -y -P '' -f $key; done 2>/dev/null").stdout  # fmt: skip
    assert not [key for key in public if key in own]


def test_what_lies_in_the_spool_is_sealed(host):
    heads = host.check_output(f"for object in {SPOOL}/*.age; do [ ! -e $object ] || head -n 1 $object; done")
    assert set(heads.splitlines()) <= {SEALED}


def test_no_plain_copy_is_left(host):
    busy = host.run("systemctl is-active hangar-backup.service").stdout.strip() == "activating"
    assert busy or not [place for place in ("work", "incoming") if host.file(f"/srv/backup/{place}").exists]


@pytest.mark.parametrize("account", ["nobody", "airflow", "airbyte"])
def test_no_other_account_reaches_the_backups(host, account):
    for command in (
        f"ls {SPOOL}",
        "ls /srv/backup",
        "cat /srv/backup/state.json",
        "backup show",
        "backup key",
    ):
        assert host.run(f"runuser -u {account} -- {command}").rc != 0, command


@pytest.mark.disturbs
def test_a_backup_is_made_tried_and_sealed(host, options):
    host.check_output("systemctl start hangar-backup.service")
    newest = json.loads(host.check_output("backup show"))["backups"][0]
    parts = {part["part"]: part for part in newest["parts"]}
    assert set(parts) >= {"secrets", "files", *options["backup_services"]}
    if "warehouse" in parts:
        assert "postgres" not in host.check_output("pgrep -ax postgres | grep -c scratch || true").strip("0")
    for part in parts.values():
        assert host.check_output(f"head -n 1 {SPOOL}/{part['object']}") == SEALED


# Prints whether the newest index is signed, as it is and with another word, by the key that the machine names.
SIGNED = """
import dataclasses, subprocess, sys, tempfile
sys.path.insert(0, "/usr/local/lib/hangar")
from hangar_backup import records, signing, spool
newest = spool.backups()[0]
with tempfile.NamedTemporaryFile("w") as signature, tempfile.NamedTemporaryFile("w") as allowed:
    print(newest.signature, file=signature, flush=True)
    print(newest.machine, signing.public_key(), file=allowed, flush=True)
    argv = ["ssh-keygen", "-Y", "verify", "-n", "hangar-backup", "-I", newest.machine]
    argv += ["-f", allowed.name, "-s", signature.name]
    for one in (newest, dataclasses.replace(newest, roles=("another",))):
        print(subprocess.run(argv, input=records.plain(one), text=True, capture_output=True).returncode == 0)
"""


@pytest.mark.disturbs
def test_a_backup_is_signed_by_the_machine_to_the_last_word(host, shown):
    assert shown["signer"].startswith("ssh-ed25519 ")
    assert host.check_output(f"python3 -c {shlex.quote(SIGNED)}").split() == ["True", "False"]
    assert host.check_output("stat -c '%a %U' /srv/backup/secrets/signing") == "600 root"


@pytest.mark.disturbs
def test_a_second_backup_copies_only_what_changed(host, options):
    host.check_output("systemctl start hangar-backup.service")
    newest = json.loads(host.check_output("backup show"))["backups"][0]
    # Postgres' own housekeeping writes when it likes; of Airbyte's platform nobody can tell.
    assert set(newest["new"]) <= {"airflow", "abctl", "warehouse"}
    if "warehouse" not in options["backup_services"]:
        return
    host.check_output("warehouse psql -qc 'create table public.noticed (x int)'")
    host.check_output("systemctl start hangar-backup.service")
    assert "warehouse" in json.loads(host.check_output("backup show"))["backups"][0]["new"]
    host.check_output("warehouse psql -qc 'drop table public.noticed'")


@pytest.mark.disturbs
def test_a_backup_that_was_killed_is_not_listed(host):
    before = [one["id"] for one in json.loads(host.check_output("backup show"))["backups"]]
    host.run("systemctl start --no-block hangar-backup.service; until [ -e /srv/backup/work ]; do :; done; "
             "systemctl kill --kill-whom=main --signal=KILL hangar-backup.service")  # fmt: skip
    host.run("until ! systemctl is-active hangar-backup.service | grep -q activating; do :; done")
    assert not host.file("/srv/backup/work").exists
    assert host.run("systemctl is-active --quiet hangar-backup-trial.service").rc != 0
    assert [one["id"] for one in json.loads(host.check_output("backup show"))["backups"]] == before
    host.check_output("systemctl reset-failed hangar-backup.service; systemctl start hangar-backup.service")
    assert not host.file("/srv/backup/work").exists


@pytest.mark.disturbs
def test_a_damaged_object_takes_its_backups_out_of_the_list(host):
    newest = json.loads(host.check_output("backup show"))["backups"][0]
    place = f"{SPOOL}/{newest['parts'][0]['object']}"
    host.check_output(f"cp -p {place} /root/kept.age && truncate --size=-1 {place}")
    listed = [one["id"] for one in json.loads(host.check_output("backup show"))["backups"]]
    host.check_output(f"mv /root/kept.age {place}")
    assert newest["id"] not in listed


LIES_IN_WAIT = """
create function raw.g() returns void language plpgsql as $$ begin
    execute 'copy (select 1) to program ''touch /srv/warehouse/postgres/ran''';
exception when insufficient_privilege then null; end $$;
create function raw.f(a int) returns boolean language plpgsql immutable as $$ begin
    perform raw.g(); return true; end $$;
create table raw.waits (a int check (raw.f(a)));
insert into raw.waits values (1), (2);
"""
PUT_BACK = """
import sys
sys.path.insert(0, "/usr/local/lib/hangar")
from hangar_backup import databases, described, putting_back, running
here = described.load()
running.make_work()
dump = described.WORK / "warehouse"
databases.dump_warehouse(here, dump)
putting_back._warehouse(here, dump, databases.ask_warehouse(here, databases.ROLES).split())
"""


@pytest.mark.disturbs
def test_the_warehouse_is_put_back_by_those_who_own_it(host, options):
    """What a role wrote into a check does not run as the owner of everything, and all is whose it was"""
    if "warehouse" not in options["backup_services"]:
        pytest.skip("there is no warehouse")
    programs = "runuser -u warehouse -- /usr/lib/postgresql/17/bin"
    shape = f"{programs}/pg_dump -h /run/warehouse -p {options['backup_warehouse_port']} warehouse | grep -v restrict"
    wait = f"set session authorization airbyte; {LIES_IN_WAIT}"
    # Inserted as its author, it can do nothing yet.
    host.check_output("warehouse psql -qv ON_ERROR_STOP=1 -c %s", wait)
    before = host.check_output(shape)
    host.check_output("umask 077; python3 -Ic %s && rm -r /srv/backup/work", PUT_BACK)
    host.check_output("warehouse ensure")
    after = host.check_output(shape)
    count = host.check_output("warehouse psql -XAtqc 'select count(*) from raw.waits'")
    host.check_output("warehouse psql -qc 'drop table raw.waits; drop function raw.f; drop function raw.g'")
    assert (after, count) == (before, "2")
    assert not host.file("/srv/warehouse/postgres/ran").exists
