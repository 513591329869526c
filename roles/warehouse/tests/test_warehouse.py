"""What the warehouse lets whom do: tried by real sessions of every role, from the machine and from containers."""

import json
import shlex

import pytest

UNITS = ("warehouse.service",)

DATA = "/srv/warehouse/postgres"
SECRETS = "/srv/warehouse/secrets"
PROGRAMS = "/usr/lib/postgresql/17/bin"
ROLES = ("airbyte", "dbt", "loader", "reader", "monitor")
PERSON = 1999
"""A number as people have it; whether the account exists is all the same to the firewall."""
GATEWAY = "10.0.2.2"
"""The machine's loopback, as a container of a rootless Docker sees it."""

# Runs on the machine as root, so that no password leaves it. Takes [[role, password or null for its own, database,
# statement], …] on standard input; prints for each what came of it: its rows, or what Postgres said to it. What the
# same role asks is asked in one session.
SESSIONS = r"""
import json, subprocess, sys, tempfile
port, psql = sys.argv[1:]
job = json.load(sys.stdin)
told = [""] * len(job)
groups = {}
for number, (role, password, database, sql) in enumerate(job):
    groups.setdefault((role, password, database), []).append((number, sql))
for (role, password, database), asked in groups.items():
    if password is None:
        password = open("/srv/warehouse/secrets/" + role).read()
    with tempfile.NamedTemporaryFile("w") as kept:
        kept.write("*:*:*:*:" + password if password else "")
        kept.flush()
        environment = {"PATH": "/usr/bin", "PGPASSFILE": kept.name, "HOME": "/nonexistent", "PGCONNECT_TIMEOUT": "5"}
        done = subprocess.run(
            [psql, "-XAtqw", "-h", "127.0.0.1", "-p", port, "-U", role, "-d", database, "-f", "-"],
            input="".join(f"{sql};\n\\echo ====\n\\warn ====\nreset role;\n" for _, sql in asked),
            env=environment, capture_output=True, text=True)
    rows, said = done.stdout.split("====\n"), done.stderr.split("====\n")
    for place, (number, _) in enumerate(asked):
        if len(rows) <= len(asked):  # the session did not begin, or was ended
            told[number] = done.stderr.strip()
        else:
            wrong = [line for line in said[place].splitlines() if "ERROR:" in line or "FATAL:" in line]
            told[number] = wrong[0] if wrong else rows[place].strip()
print(json.dumps(told))
"""


@pytest.fixture(scope="module", autouse=True)
def wanted(options):
    if not options["warehouse_enabled"]:
        pytest.skip("switched off (warehouse_enabled)")


@pytest.fixture(scope="module")
def port(options):
    return int(options["warehouse_port"])


@pytest.fixture(scope="module")
def sessions(host, port):
    """Runs statements, each in a session of its own: {key: (role, statement)} → {key: what came of it}."""

    def run(asked):
        job = [
            [role, *(rest if len(rest) == 3 else (None, "warehouse", *rest))]
            for role, *rest in asked.values()
        ]
        program = f"python3 -c {shlex.quote(SESSIONS)} {port} {PROGRAMS}/psql"
        told = host.check_output(f"echo {shlex.quote(json.dumps(job))} | {program}")
        return dict(zip(asked, json.loads(told), strict=True))

    return run


@pytest.fixture(scope="module")
def owner(host):
    """Asks as the owner, through the socket."""

    def ask(*statements):
        asked = " ".join(f"-c {shlex.quote(sql)}" for sql in statements)
        return host.check_output(f"warehouse psql -XAtq -v ON_ERROR_STOP=1 {asked}")

    return ask


@pytest.fixture(scope="module")
def schemas(options):
    """One schema of each kind, by the name that it has here."""
    here = {"raw": options["warehouse_raw_schemas"][0], "landing": options["warehouse_landing_schemas"][0]}
    return {**here, "bronze": "bronze", "silver": "silver", "gold": "gold"}


def literal(text):
    return "'" + text.replace("'", "''") + "'"


OWNERS = {"raw": "airbyte", "landing": "loader", "bronze": "dbt", "silver": "dbt", "gold": "dbt"}
READERS = {"raw": {"dbt"}, "landing": {"dbt"}, "bronze": set(), "silver": set(), "gold": {"reader"}}
DENIED = "ERROR:  permission denied for "


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


def test_airbyte_writes_raw_data_and_nothing_else(tried):
    """Airbyte writes the schemas of raw data and nothing else, and cannot read what others made"""
    _writes_only("airbyte", {"raw"}, tried)
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
    copied = f"copy told from program {literal(f'{script}; exit 0')}"
    assert owner("create temp table told (line text)", copied, "select line from told") == "own-data"


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


# From here on: who reaches the port, and what an accident leaves.


@pytest.fixture(scope="module")
def contained(host, options):
    """Runs a shell command in a container of a service user; the machine's own programs are its image."""
    image = "hangar-contract-warehouse"
    users = [user["name"] for user in options["docker_host_users"]]
    for user in users:
        made = f"tar --create --directory / bin lib lib64 | as-service {user} docker import - {image}"
        host.check_output(f"bash -o pipefail -c {shlex.quote(made)}")

    def run(user, command):
        docker = (
            f"as-service {user} docker run --rm --volume /usr:/usr:ro {image} bash -c {shlex.quote(command)}"
        )
        return host.run(docker).rc

    yield run
    for user in users:
        host.run(f"as-service {user} docker rmi {image}")


def answers(port, address=GATEWAY):
    who = "--username monitor --dbname warehouse"
    return f"{PROGRAMS}/pg_isready --quiet --timeout 5 --host {address} --port {port} {who}"


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


@pytest.mark.disturbs
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


@pytest.mark.disturbs
def test_data_survive_a_restart(host, sessions, table):
    host.check_output("systemctl restart warehouse.service")
    assert sessions({"read": ("loader", f"select n from {table}")}) == {"read": "1"}


@pytest.mark.disturbs
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


@pytest.mark.disturbs
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


@pytest.mark.disturbs
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


@pytest.mark.disturbs
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


@pytest.mark.disturbs
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


@pytest.mark.disturbs
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


@pytest.mark.disturbs
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
