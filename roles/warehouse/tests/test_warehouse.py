"""What the warehouse lets whom do: tried by real sessions of every role, from the machine and from containers."""

import shlex

import pytest
from warehouse_contract import DATA, DENIED, GATEWAY, PROGRAMS, ROLES, SECRETS, answers

UNITS = ("warehouse.service",)
CONFINED = "hangar.warehouse (enforce)"

PERSON = 1999
"""A number as people have it; whether the account exists is all the same to the firewall."""
OWNERS = {"raw": "airbyte", "landing": "loader", "bronze": "dbt", "silver": "dbt", "gold": "dbt"}


@pytest.fixture(scope="module")
def tried(sessions, schemas):
    """What each role gets of each kind of schema, in which its owner has just made a table: (role, deed, kind)."""
    table = {kind: f"{schema}.hangar_contract" for kind, schema in schemas.items()}
    drop = {kind: (OWNERS[kind], f"drop table if exists {table[kind]}") for kind in schemas}
    make = {kind: (OWNERS[kind], f"create table {table[kind]} as select 7 as n") for kind in schemas}
    deeds = {
        "read": "select n from {table}",
        "write": "begin; insert into {table} values (8); rollback; select 'done'",
        "make": "begin; create table {schema}.hangar_contract_2 (n int); rollback; select 'done'",
        "remove": "begin; drop table {table}; rollback; select 'done'",
    }
    asked = {
        (role, deed, kind): (role, sql.format(table=table[kind], schema=schema))
        for role in ROLES
        for deed, sql in deeds.items()
        for kind, schema in schemas.items()
    }
    asked |= {
        (role, "make", "schema"): (role, "begin; create schema hangar_contract; rollback") for role in ROLES
    }
    asked |= {
        (role, "make", "public"): (role, "begin; create table public.x (n int); rollback") for role in ROLES
    }
    asked |= {
        (role, "make", "large object"): (role, "begin; select lo_create(0); rollback") for role in ROLES
    }
    asked |= {(role, "become", "dbt"): (role, "set role dbt; select 'done'") for role in ROLES}
    asked |= {(role, "become", "owner"): (role, "set role warehouse") for role in ROLES}
    asked |= {(role, "run", "program"): (role, "copy (select 1) to program 'true'") for role in ROLES}
    try:
        made = sessions({**{("drop", kind): sql for kind, sql in drop.items()}, **make})
        assert set(made.values()) == {""}
        return sessions(asked)
    finally:
        sessions(drop)


def test_the_warehouse_listens_on_loopback_only(host, port):
    listening = host.check_output("ss --no-header --listening --tcp --numeric").splitlines()
    places = {line.split()[3] for line in listening if line.split()[3].endswith(f":{port}")}
    assert f"127.0.0.1:{port}" in places
    assert [place for place in places if not place.startswith("127.")] == []


def test_a_role_gets_in_with_its_password_only(sessions):
    """A role gets in with its own password, not with another, an empty or a well-known one"""
    told = sessions({
        **{(role, "its own"): (role, "select current_user") for role in ROLES},
        **{(role, guess): (role, guess, "warehouse", "select 1") for role in ROLES for guess in ("wrong", role, "")},
    })  # fmt: skip
    for (role, guess), said in told.items():
        if guess == "its own":
            assert said == role
        elif guess:
            assert f'FATAL:  password authentication failed for user "{role}"' in said, (role, guess)
        else:
            assert "no password supplied" in said, role


def test_the_owner_gets_in_on_the_machine_as_itself_only(host, sessions, attempt, options):
    """The owner of everything gets in as its own account on the machine, and over the network nobody does as it"""
    assert host.check_output("warehouse psql -XAtqc 'select current_user, inet_client_addr() is null'") == (
        "warehouse|t"
    )
    told = sessions({"owner": ("warehouse", "guess", "warehouse", "select 1")})
    assert 'no pg_hba.conf entry for host "127.0.0.1", user "warehouse"' in told["owner"]
    ask = f"{PROGRAMS}/psql -XAtqw -h /run/warehouse -p {options['warehouse_port']} -d warehouse -c 'select 1' -U"
    accounts = [account["name"] for account in options["service_users_accounts"]] + [options["ansible_user"]]
    entered = attempt({
        "itself": f"runuser -u warehouse -- {ask} warehouse",
        **{(account, role): f"runuser -u {account} -- {ask} {role}"
           for account in ("warehouse", *accounts) for role in ("reader", "airbyte")},
        **{account: f"runuser -u {account} -- {ask} warehouse" for account in accounts},
    })  # fmt: skip
    assert [who for who, status in entered.items() if status == 0] == ["itself"]


def test_passwords_are_the_only_way_in_over_the_network(owner):
    """Nobody is trusted without a password, and passwords are kept as SCRAM only"""
    methods = owner("select distinct type || ' ' || auth_method from pg_hba_file_rules order by 1").split(
        "\n"
    )
    assert methods == ["host scram-sha-256", "local peer"]
    assert owner("select distinct left(rolpassword, 14) from pg_authid where rolpassword is not null") == (
        "SCRAM-SHA-256$"
    )


def test_a_role_enters_no_other_database(sessions):
    asked = {
        (role, database): (role, None, database, "select 1")
        for role in ROLES
        for database in ("postgres", "template1")
    }
    assert [key for key, said in sessions(asked).items() if "no pg_hba.conf entry" not in said] == []


def test_nobody_is_superuser_but_the_owner(owner, tried):
    """Nobody is superuser but the owner, and nobody becomes the owner"""
    assert owner("select rolname from pg_roles where rolsuper") == "warehouse"
    for role in ROLES:
        assert DENIED in tried[role, "run", "program"].replace(
            " to COPY to or from an external program", " for "
        )
        assert 'permission denied to set role "warehouse"' in tried[role, "become", "owner"]


def test_airbyte_writes_raw_data_and_nothing_else(tried, options):
    """Airbyte writes the schemas of raw data and nothing else, and cannot read what others made"""
    its_own = {"schema"} if options["warehouse_airbyte_makes_schemas"] else set()
    _writes_only("airbyte", {"raw", *its_own}, tried)
    _reads_only("airbyte", {"raw"}, tried)


def test_loader_writes_landing_and_nothing_else(tried):
    """The loader writes the schemas of landed data and nothing else, and cannot read what others made"""
    _writes_only("loader", {"landing"}, tried)
    _reads_only("loader", {"landing"}, tried)


def test_dbt_reads_what_arrives_and_writes_what_it_shapes(tried):
    """dbt reads raw and landed data and cannot change them; it writes bronze, silver and gold"""
    _writes_only("dbt", {"bronze", "silver", "gold"}, tried)
    _reads_only("dbt", {"raw", "landing", "bronze", "silver", "gold"}, tried)


def test_readers_read_gold_and_nothing_else(tried):
    """Readers read gold, tables made a moment ago included, and nothing else; they write nothing"""
    _writes_only("reader", set(), tried)
    _reads_only("reader", {"gold"}, tried)


def test_the_monitor_sees_the_servers_figures_and_no_data(tried, sessions):
    """The monitor sees the server's figures and nobody's data"""
    _writes_only("monitor", set(), tried)
    _reads_only("monitor", set(), tried)
    figures = "select count(backend_start) > 0 from pg_stat_activity where backend_type = 'checkpointer'"
    told = sessions({role: (role, figures) for role in ("monitor", "reader")})
    assert told == {"monitor": "t", "reader": "f"}


def _reads_only(role, kinds, tried):
    for kind in OWNERS:
        said = tried[role, "read", kind]
        assert said == "7" if kind in kinds else said.startswith(DENIED) or DENIED in said, (role, kind, said)


def _writes_only(role, kinds, tried):
    for kind in (*OWNERS, "public", "schema", "large object"):
        for deed in ("write", "make", "remove"):
            if (role, deed, kind) not in tried:
                continue
            said = tried[role, deed, kind]
            if kind in kinds:
                assert said == "done", (role, deed, kind, said)
            else:
                assert DENIED in said or "must be owner of table" in said, (role, deed, kind, said)


def test_no_role_becomes_another(tried):
    assert [role for role in ROLES if tried[role, "become", "dbt"] == "done"] == ["dbt"]


def test_a_role_is_bounded_in_sessions_and_in_time(owner, sessions, options):
    """Each role is bounded in sessions, and its statements and idle sessions in time"""
    limits = owner("select rolname || '=' || rolconnlimit from pg_roles where rolconnlimit <> -1").split()
    assert dict(line.split("=") for line in limits) == {
        role: str(count) for role, count in options["warehouse_connections"].items()
    }
    shown = (
        "select current_setting('statement_timeout'), current_setting('idle_in_transaction_session_timeout')"
    )
    told = sessions({role: (role, shown) for role in ROLES})
    idle = options["warehouse_idle_in_transaction_timeout"]
    assert told == {role: f"{span}|{idle}" for role, span in options["warehouse_statement_timeouts"].items()}


def test_a_password_is_readable_by_root_and_one_group_only(host, attempt, options):
    """Each password is readable by root and the one group that needs it"""
    groups = options["warehouse_secret_groups"]
    found = host.check_output(f"stat --format '%A %U:%G %n' {SECRETS} {SECRETS}/*").splitlines()
    assert found == [
        f"drwx--x--x root:root {SECRETS}",
        *(f"-r--r----- root:{groups[role]} {SECRETS}/{role}" for role in sorted(ROLES)),
    ]
    accounts = [account["name"] for account in options["service_users_accounts"]]
    readers = ["root", "warehouse", "nobody", *accounts]
    read = attempt({
        (who, role): f"runuser -u {who} -- cat {SECRETS}/{role}" for who in readers for role in ROLES
    })  # fmt: skip
    allowed = {(who, role) for who in readers for role in ROLES if who in ("root", groups[role])}
    assert {key for key, status in read.items() if status == 0} == allowed
    assert attempt({who: f"runuser -u {who} -- ls {SECRETS}" for who in readers[1:]}) == dict.fromkeys(
        readers[1:], 2
    )


def test_passwords_stand_in_no_log_and_no_list_of_processes(host):
    """The passwords stand in no log, no argument and no environment of a process"""
    places = {
        "the journal": "journalctl --no-pager --quiet --since=-2d",
        "arguments and environments": "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'",
        "settings": "cat /etc/hangar/warehouse/*",
        "what Postgres keeps": "warehouse psql -XAtqc 'select rolpassword from pg_authid'",
    }
    for place, command in places.items():
        script = (
            f"place=$(mktemp); {{ {command}; }} > $place 2> /dev/null; test -s $place || echo nothing was read; "
            f"for secret in {SECRETS}/*; do grep --quiet --fixed-strings --file $secret $place && echo $secret; done; "
            "rm $place"
        )
        assert host.run(f"bash -c {shlex.quote(script)}").stdout == "", place


def test_the_log_holds_no_statement_of_anybody(host, sessions):
    """A statement that fails leaves its error in the log, and neither its text nor its values"""
    since = host.check_output("date '+%F %T'")
    told = sessions({
        "fails": ("loader", "create temp table t (n int primary key); insert into t values (4711), (4711)")
    })  # fmt: skip
    assert "duplicate key" in told["fails"]
    log = host.check_output(
        f"journalctl --sync; journalctl --unit warehouse.service --since '{since}' -o cat"
    )
    assert "loader@warehouse" in log
    assert "4711" not in log


def test_the_data_lie_under_srv_with_checksums(host, owner):
    """The data lie under /srv, readable by their owner only, each page with a checksum"""
    assert (
        owner("select current_setting('data_directory'), current_setting('data_checksums')") == f"{DATA}|on"
    )
    assert host.check_output(f"stat --format '%U:%G %a' {DATA}") == "warehouse:warehouse 700"


def test_debians_own_cluster_was_never_made(host):
    """Debian's own cluster under /var/lib was never made"""
    assert host.check_output("ls /var/lib/postgresql /etc/postgresql").split() == [
        "/etc/postgresql:",
        "/var/lib/postgresql:",
    ]
    assert host.check_output("pgrep --exact postgres --uid postgres | wc -l") == "0"


def test_nobody_logs_in_as_the_warehouse(host, client, options):
    """Nobody logs in as the account of the warehouse, not even with the operator's key, and it has no sudo"""
    entry = host.check_output("getent passwd warehouse").split(":")
    uid = str(options["warehouse_uid"])
    assert entry[2:4] + entry[5:] == [uid, uid, "/srv/warehouse/home", "/usr/sbin/nologin"]
    assert host.check_output("passwd --status warehouse").split()[1] == "L"
    assert host.check_output("id --groups --name warehouse") == "warehouse"
    assert "not allowed to run sudo" in host.check_output("sudo --list --other-user=warehouse")
    assert client.ssh(command="true").returncode == 0
    assert client.ssh("-l", "warehouse", command="true").returncode == 255


def test_the_server_is_locked_in(host):
    """The server is locked in: systemd rates its exposure at 3.0 or less"""
    line = host.run("systemd-analyze security --no-pager warehouse.service").stdout.strip().splitlines()[-1]
    assert float(line.split("warehouse.service: ")[1].split()[0]) <= 3.0, line


def test_who_takes_over_the_server_holds_its_data_and_nothing_else(host, owner):
    """Whoever takes over the server as its owner reads no other service's files, changes nothing on the machine
    and reaches nothing on loopback"""
    deeds = {
        "own-data": f"ls {DATA}/PG_VERSION",
        "airflow": "ls /srv/airflow",
        "passwords": f"cat {SECRETS}/dbt",
        "secrets": f"touch {SECRETS}/x",
        "programs": "touch /usr/local/bin/x",
        "settings": "touch /etc/hangar/warehouse/x",
        "home": "touch /srv/warehouse/home/x",
        "processes": "test -d /proc/1",
        "ssh": "exec 3<>/dev/tcp/127.0.0.1/22",
        "metadata": "exec 3<>/dev/tcp/169.254.169.254/80",
        "root": "sudo -n true",
    }
    script = "\n".join(
        f"timeout {2 if '/dev/tcp' in deed else 20} bash -c {shlex.quote(deed)} >/dev/null 2>&1 && echo {name}"
        for name, deed in deeds.items()
    )
    copied = f"copy told from program {_literal(f'{script}; exit 0')}"
    told = ["create temp table told (line text)", copied, "select line from told"]
    process = host.check_output("systemctl show warehouse.service --property MainPID --value")
    # A kernel with AppArmor lets it start no shell at all.
    if host.run(f"cat /proc/{process}/attr/current").stdout.strip() == CONFINED:
        asked = " ".join(f"-c {shlex.quote(sql)}" for sql in told)
        refused = host.run(f"warehouse psql -XAtq -v ON_ERROR_STOP=1 {asked}")
        assert refused.rc != 0
        assert refused.stderr.startswith("ERROR:  could not execute command ")
        assert refused.stderr.strip().endswith(": Permission denied")
        assert owner(told[0], "select 'still there'") == "still there"
    else:
        assert owner(*told) == "own-data"


def _literal(text):
    return "'" + text.replace("'", "''") + "'"


def test_the_warehouse_comes_back_by_itself(host):
    """The warehouse comes back at boot, and after whatever ended it"""
    names = "ActiveState,UnitFileState,Restart,StartLimitIntervalUSec"
    shown = host.check_output(f"systemctl show warehouse.service --property {names}").splitlines()
    assert sorted(shown) == [
        "ActiveState=active",
        "Restart=always",
        "StartLimitIntervalUSec=0",
        "UnitFileState=enabled",
    ]


def test_the_warehouse_is_as_it_is_described(host):
    """Account, data, passwords, roles and rights are as they are described"""
    assert host.check_output("warehouse look") == ""


def test_upgraded_packages_are_what_runs(host):
    """The server runs the code that is installed, and starts anew when that is upgraded"""
    pid = host.check_output("systemctl show warehouse.service --property MainPID --value")
    assert host.check_output(f"readlink /proc/{pid}/exe") == f"{PROGRAMS}/postgres"
    assert "/usr/local/sbin/warehouse renew" in host.check_output("apt-config dump DPkg::Post-Invoke")


def test_declared_services_reach_the_warehouse_from_their_containers(contained, options, port):
    """The containers of the services that are declared reach the warehouse, and no port of the machine besides"""
    declared = {rule["user"] for rule in options["firewall_loopback_rules"] if int(rule["port"]) == port}
    assert "airflow" in declared
    for user in (one["name"] for one in options["docker_host_users"]):
        assert (contained(user, answers(port)) == 0) == (user in declared), user
        assert contained(user, f"exec 3<>/dev/tcp/{GATEWAY}/22") != 0, user


def test_nobody_else_reaches_the_warehouse(attempt, options, port):
    """People and accounts that are not declared do not reach the warehouse's port"""
    as_number = "setpriv --reuid {0} --regid {0} --clear-groups"
    ask = answers(port, "127.0.0.1")
    told = attempt({
        "root": ask,
        "airflow": f"runuser -u airflow -- {ask}",
        "a person": f"{as_number.format(PERSON)} {ask}",
        "nobody": f"{as_number.format(65534)} {ask}",
        "somebody's sub-id": f"{as_number.format(3_000_000)} {ask}",
    })  # fmt: skip
    published = port in {int(one) for one in options["firewall_published_ports"]}
    allowed = {"root", "airflow"} | ({"a person"} if published else set())
    assert {who for who, status in told.items() if status == 0} == allowed
