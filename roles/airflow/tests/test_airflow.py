import json
import re
import secrets
import shlex
from pathlib import Path

import pytest
from airflow_contract import ACCOUNTS, ATTEMPTS, FROM_INSIDE, HANDED, LEAKS

UNITS = ("user@2001.service",)

READ = (
    *(f"secrets/{name}" for name in ("sql_alchemy_conn", "fernet_key", "jwt_secret", "api_secret_key")),
    *(f"connections/{name}.json" for name in ("connections", "variables")),
)
"""What each of Airflow's own containers reads, below /run there and below /srv/airflow here."""

COMPONENTS = {"metadatabase", "scheduler", "triggerer", "dag_processor"}
SERVICES = {"postgres", "api-server", "scheduler", "dag-processor", "triggerer"}
SECRETS = "/srv/airflow/secrets"
GENERATED = ("admin_password", "api_secret_key", "fernet_key", "jwt_secret", "postgres_password")


def in_docker(host, arguments):
    return host.check_output(f"as-service airflow docker {arguments}")


@pytest.fixture(scope="module")
def answers(host, options):
    """What the API says to strangers and to the generated administrator."""
    return json.loads(host.check_output(f"python3 -c {shlex.quote(ATTEMPTS)} {options['airflow_port']}"))


@pytest.fixture(scope="module")
def containers(host):
    """Each container of the stack as Docker describes it, by the name of its service."""
    ids = in_docker(host, "ps --quiet --filter label=com.docker.compose.project=airflow").split()
    found = json.loads(in_docker(host, f"inspect {' '.join(ids)}"))
    return {container["Config"]["Labels"]["com.docker.compose.service"]: container for container in found}


@pytest.fixture(scope="module")
def listeners(host):
    """Local address and owner of every TCP socket that listens."""
    lines = host.check_output("ss --no-header --listening --tcp --numeric").splitlines()
    return [line.split()[3] for line in lines]


@pytest.fixture(scope="module")
def inside(host, listeners):
    """What Airflow's own containers reach of the machine, and what Airbyte says to them."""
    ports = sorted({int(address.rpartition(":")[2]) for address in listeners})
    run = "docker compose --project-directory /srv/airflow/stack exec -T scheduler /opt/airflow/venv/bin/python -c"
    told = f"as-service airflow {run} {shlex.quote(FROM_INSIDE)} {shlex.quote(json.dumps(ports))}"
    return json.loads(host.check_output(told))


def test_all_of_airflow_is_healthy(answers):
    assert {name: part["status"] for name, part in answers["health"].items()} == dict.fromkeys(
        COMPONENTS, "healthy"
    )


def test_every_container_runs_and_is_healthy(containers):
    assert {
        name: one["State"].get("Health", {}).get("Status") for name, one in containers.items()
    } == dict.fromkeys(SERVICES, "healthy")


def test_airflow_refuses_who_does_not_log_in(answers):
    assert [answers[who] for who in ("anonymous", "anonymous connections")] == [401, 401]
    assert answers["forged"] in (401, 403)


def test_airflow_refuses_wrong_and_well_known_passwords(answers):
    assert [answers[who] for who in ("wrong password", "default password", "admin")] == [401, 401, 401]


def test_airflow_lets_the_generated_administrator_in(answers):
    assert answers["generated password"] in (200, 201)


def test_the_released_dags_are_read_without_an_error(answers, options):
    released = [dag["dag_id"] for dag in answers["dags"]["dags"] if dag["bundle_name"] == "released"]
    assert ("city_temperatures" in released) == options["airflow_examples_enabled"]
    assert [
        error for error in answers["import errors"]["import_errors"] if error.get("bundle_name") == "released"
    ] == []


def test_airflow_is_the_release_that_is_locked(answers):
    lock = (Path(__file__).parents[1] / "files/requirements.lock").read_text()
    assert f"apache-airflow=={answers['version']['version']} " in lock


def test_airflow_listens_on_loopback_only(listeners, options):
    port = options["airflow_port"]
    assert {address for address in listeners if address.endswith(f":{port}")} == {f"127.0.0.1:{port}"}


def test_containers_publish_nothing_else(containers, options):
    published = [
        (name, binding["HostIp"], binding["HostPort"])
        for name, one in containers.items()
        for bindings in one["HostConfig"]["PortBindings"].values()
        for binding in bindings
    ]
    assert published == [("api-server", "127.0.0.1", str(options["airflow_port"]))]


def test_containers_have_no_rights_beyond_their_own(containers):
    for name, one in containers.items():
        rights = one["HostConfig"]
        assert (rights["CapDrop"], rights["CapAdd"] or []) == (["ALL"], []), name
        assert "no-new-privileges:true" in rights["SecurityOpt"], name
        assert (rights["ReadonlyRootfs"], rights["Privileged"]) == (True, False), name
        assert one["Config"]["User"].split(":")[0] not in ("", "0", "root"), name


# A container on a laptop has no controllers to bound its own containers with.
@pytest.mark.vm
def test_containers_are_bounded_in_memory_and_processes(containers):
    for name, one in containers.items():
        assert min(one["HostConfig"]["Memory"], one["HostConfig"]["PidsLimit"]) > 0, name


def test_processes_of_airflow_are_sub_ids_of_the_service(host, options, containers):
    """Airflow's processes are sub-ids of the service user, neither root nor the service user itself"""
    (account,) = [one for one in options["service_users_accounts"] if one["name"] == "airflow"]
    pids = " ".join(str(one["State"]["Pid"]) for one in containers.values())
    uids = {int(uid) for uid in host.check_output(f"ps -o uid= -p {pids.replace(' ', ',')}").split()}
    assert uids
    assert all(account["subids"] <= uid < account["subids"] + 65536 for uid in uids)


def test_airflow_itself_reads_airbytes_workspaces_and_changes_none(inside, options):
    """From inside its containers Airflow reads Airbyte's workspaces by a token of its own; it can make none"""
    if not options["airbyte_enabled"]:
        pytest.skip("switched off (airbyte_enabled)")
    status, answer = inside["airbyte"]["read"]
    assert status == 200
    assert answer["data"], "there is no workspace"
    assert inside["airbyte"]["change"] == 403
    assert inside["airbyte"]["stranger"] == 401


def test_airflows_containers_reach_the_declared_ports_of_the_machine_and_no_other(inside, options, listeners):
    declared = {
        int(rule["port"])
        for rule in options["firewall_loopback_rules"]
        if rule["user"] == "airflow" and rule.get("protocol", "tcp") == "tcp"
    }
    listening = {int(address.rpartition(":")[2]) for address in listeners}
    assert listening - declared, "nothing else listens, so nothing could be refused"
    assert set(inside["reached"]) == declared & listening


def test_the_secrets_are_readable_by_root_and_the_service_only(host):
    found = host.check_output(
        f"stat --format '%A %U:%G %n' {SECRETS} /srv/airflow/connections {SECRETS}/* /srv/airflow/connections/*"
    )
    for line in found.splitlines():
        mode, owner, path = line.split()
        assert (mode, owner) == ("drwxr-x---" if mode[0] == "d" else "-r--r-----", "root:airflow"), path
    for other in ("nobody", "airbyte"):
        assert host.run(f"runuser -u {other} -- cat {SECRETS}/admin_password").rc != 0


@pytest.fixture(scope="module")
def handed(host):
    """Each file that a container reads secrets from: (service, path) → its file system, and whether it is root's"""
    told = host.check_output(f"bash -c {shlex.quote(HANDED.format(services=' '.join(sorted(SERVICES))))}")
    return {(service, path): (kind, same) for service, path, kind, same in map(str.split, told.splitlines())}


def test_what_containers_read_as_secrets_lies_in_memory(handed):
    """Each secret that a container reads lies in memory, and no container reads one that it does not need"""
    assert {path: kind for path, (kind, _) in handed.items()} == {
        ("postgres", "secrets/postgres_password"): "tmpfs",
        **{(service, path): "tmpfs" for service in SERVICES - {"postgres"} for path in READ},
    }


def test_containers_have_the_secrets_that_root_keeps(handed):
    # Postgres reads its own when its cluster is made, and goes on with what it was started with.
    others = {what for what, (_, same) in handed.items() if same != "same" and what[0] != "postgres"}
    assert others == set()


def test_no_container_mounts_secrets_of_the_disk(containers):
    sources = {
        mount["Source"] for one in containers.values() for mount in one["Mounts"] if mount["Type"] == "bind"
    }
    assert any(source.endswith("/secrets/fernet_key") for source in sources), sources
    folders = (SECRETS, "/srv/airflow/connections")
    assert {source for source in sources if source == "/srv/airflow" or source.startswith(folders)} == set()


def test_others_cannot_read_the_copies_in_memory(attempt, options):
    (account,) = [one for one in options["service_users_accounts"] if one["name"] == "airflow"]
    folder = f"/run/user/{account['uid']}/hangar/secrets"
    users = ("airflow", "nobody", "airbyte", options["ansible_user"])
    told = attempt({user: f"runuser -u {user} -- cat {folder}/fernet_key" for user in users})
    assert {user for user, status in told.items() if status == 0} == {"airflow"}


def test_every_secret_is_there_and_long(host):
    sizes = host.check_output(f"stat --format %s {' '.join(f'{SECRETS}/{name}' for name in GENERATED)}")
    assert all(int(size) >= 32 for size in sizes.split())


def test_no_secret_shows_in_a_process_list_a_journal_or_docker_inspect(host):
    """No secret shows in the process list, in a process's environment, in the journal or in docker inspect"""
    places = {
        "process list": "ps -eo args",
        "environments": "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'",
        "journal": "journalctl --no-pager --output cat --boot",
        "docker": "as-service airflow docker ps --all --quiet | xargs as-service airflow docker inspect",
        "recipes and settings": "cat /srv/airflow/stack/*.* /srv/airflow/stack/*/*.* /srv/airflow/state/*.log",
        "Docker's own files": "cat /srv/airflow/docker/containers/*/config.v2.json",
    }
    for place, command in places.items():
        found = host.check_output(f"bash -c {shlex.quote(LEAKS.replace('COMMAND', command))}")
        assert found == "", f"{place}: {found}"


def test_airflow_cannot_change_what_is_released(host):
    """Airflow cannot change the DAGs that are released to it"""
    inside = "as-service airflow docker compose --project-directory /srv/airflow/stack exec -T scheduler"
    assert host.run(f"{inside} test -r /srv/airflow/released").rc == 0
    assert host.run(f"{inside} touch /srv/airflow/released/x").rc != 0
    assert host.run("runuser -u airflow -- touch /srv/airflow/released/x").rc != 0
    assert host.run(f"{inside} touch /srv/airflow/released/current/x").rc != 0
    assert host.run(f"{inside} ln -sfn /tmp /srv/airflow/released/current").rc != 0


def test_a_broken_dag_is_not_released(host):
    """A release with a DAG that cannot be imported is refused, and what is released stays"""
    before = host.check_output("readlink /srv/airflow/released/current")
    script = r"""
    place=$(mktemp -d); trap 'rm -r "$place"' EXIT
    printf 'from airflow.sdk import dag\nimport no_such_module\n' > "$place/dag.py"
    tar --create --directory "$place" dag.py | base64 | airflow-release deploy --by test
    """
    refused = host.run(f"sh -c {shlex.quote(script)}")
    assert refused.rc == 1
    assert "dag.py: ModuleNotFoundError: No module named 'no_such_module' (line 2)\n" in refused.stderr
    assert host.check_output("readlink /srv/airflow/released/current") == before


def test_the_drop_is_open_to_its_group_and_the_other_data_are_not(host):
    rights = {
        folder: host.check_output(f"getfacl --absolute-names --omit-header {folder}").split()
        for folder in ("/srv/airflow/data", "/srv/airflow/data/drop", "/srv/airflow/data/drop/in")
    }
    assert "group:dags:rwx" in rights["/srv/airflow/data/drop/in"]
    assert "group:dags:--x" in rights["/srv/airflow/data"]
    assert "group:dags:--x" in rights["/srv/airflow/data/drop"]
    assert all("other::---" in found for found in rights.values())


def test_each_tool_answers_from_an_environment_of_its_own(host, options):
    inside = "as-service airflow docker compose --project-directory /srv/airflow/stack exec -T scheduler"
    for tool in ("dbt", "dlt"):
        there = host.run(f"{inside} test -x /opt/{tool}/bin/{tool}").rc == 0
        assert there == (tool in options["airflow_tools"]), tool


def test_the_live_folder_is_open_to_its_group_and_closed_to_others(host, options):
    if not options["airflow_live_dags_enabled"]:
        pytest.skip("switched off in platform.yml (airflow.live_dags)")
    rights = host.check_output("getfacl --absolute-names --omit-header /srv/airflow/dags").split()
    assert host.check_output("stat --format '%U:%G %A' /srv/airflow/dags") == "root:dags drwxrws---"
    assert {
        "group:airflow:r-x",
        "default:group:airflow:r-x",
        "default:group::rwx",
        "other::---",
        "default:other::---",
    } <= set(rights)
    assert host.run("runuser -u airflow -- touch /srv/airflow/dags/x").rc != 0
    assert host.run("runuser -u nobody -- ls /srv/airflow/dags").rc != 0


def of_its_own() -> str:
    """A name in the folder that people share. They may put a link where a known one is to be written, to a file of the
    operator's or root's, so none is known, and none is followed.
    """
    return f"/srv/airflow/dags/.contract-{secrets.token_hex(8)}"


def test_the_operator_puts_a_file_into_the_live_folder(host, client, options):
    """The operator can put a file into the live folder, and Airflow can read it, whatever the umask"""
    if not options["airflow_live_dags_enabled"]:
        pytest.skip("switched off in platform.yml (airflow.live_dags)")
    path = of_its_own()
    try:
        written = client.ssh(command=f"umask 077; set -C; cat > {path}", input="contract")
        assert written.returncode == 0
        assert host.check_output(f"runuser -u airflow -- cat {path}") == "contract"
    finally:
        host.run(f"rm -f {path}")


def test_what_comes_into_the_live_folder_with_rights_of_its_own_is_shared_too(host, client, options):
    """A file that comes ready made into the live folder is the group's within seconds; another's is left alone"""
    if not options["airflow_live_dags_enabled"]:
        pytest.skip("switched off in platform.yml (airflow.live_dags)")
    path, roots = of_its_own(), ""
    wait = "for _ in $(seq 200); do [ $(stat -c %a:%G {0}) = {1}:dags ] && exit 0; sleep 0.1; done; exit 1"
    try:
        # Looked at before it comes: afterwards it may be the group's already.
        made = client.ssh(command=f"file=$(mktemp -p .) && stat -c %a $file && mv -T $file {path}")
        assert made.stdout.strip() == "600"
        roots = host.check_output("mktemp /srv/airflow/dags/.contract-XXXXXXXXXX")
        assert host.run(wait.format(path, 660)).rc == 0
        assert host.run(f"runuser -u airflow -- cat {path}").rc == 0
        assert host.check_output(f"stat -c %a {roots}") == "600"
    finally:
        host.run(f"rm -f {path} {roots}")


def test_people_have_their_accounts_and_their_password_is_their_secret(host, options):
    """Each person has the account and the role that the settings say, with a password that only they read"""
    found, todo, passwords = (part.strip().split("\n") for part in host.check_output(ACCOUNTS).split("=="))
    today = host.check_output("date -u +%F")
    wanted = {
        one["name"]: one["airflow"]
        for one in options["people_accounts"]
        if one["airflow"] != "none" and not (one["expires"] and one["expires"] <= today)
    }
    there = dict(line.split() for line in found if line)
    assert there.pop("admin") == "Admin"
    assert {name: role for name, role in there.items() if name in wanted} == wanted
    assert not any(todo)
    assert {line for line in passwords if line} == {
        f"/srv/people/passwords/{name} root:{name} 440" for name in wanted
    }


def test_the_images_were_made_on_this_machine(containers):
    for name, one in containers.items():
        assert one["Config"]["Image"].startswith("hangar/"), name


def test_airflow_calls_nobody_home(host):
    assert re.search(
        r"^\[usage_data_collection\]\n(#.*\n)*enabled = False$",
        host.file("/srv/airflow/stack/config/airflow.cfg").content_string,
        re.MULTILINE,
    )


def test_airflow_comes_back_at_boot(host):
    """Airflow comes back at boot, and whenever its Docker daemon does"""
    link = host.file("/etc/systemd/user/docker.service.wants/airflow.service")
    assert link.linked_to == "/etc/systemd/user/airflow.service"
    shown = host.check_output(
        "as-service airflow systemctl --user show airflow.service --property ActiveState,BindsTo,After"
    )
    assert {"ActiveState=active", "BindsTo=docker.service"} <= set(shown.splitlines())
    wants = "as-service airflow systemctl --user show docker.service --property Wants --value"
    assert "airflow.service" in host.check_output(wants)


def test_the_logs_of_tasks_leave_after_a_while(host, options):
    assert (
        f"/srv/airflow/logs - - - {options['airflow_log_age']}"
        in host.file("/etc/tmpfiles.d/hangar-airflow.conf").content_string
    )


def test_the_logs_of_tasks_are_kept_within_a_budget(host):
    """The oldest logs of tasks go where they take more than is meant for them; what was written just now stays"""
    assert host.check_output("systemctl is-active airflow-logs.timer") == "active"
    recent = "find /srv/airflow/logs -type f -mmin -50"
    before = set(host.check_output(recent).splitlines())
    host.check_output("systemctl start airflow-logs.service")
    shown = host.check_output("systemctl show airflow-logs.service --property=Result,ExecMainStatus")
    assert set(shown.splitlines()) == {"Result=success", "ExecMainStatus=0"}
    assert before - set(host.check_output("find /srv/airflow/logs -type f").splitlines()) == set()
