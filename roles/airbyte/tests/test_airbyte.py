import json
import shlex
from pathlib import Path

import pytest

UNITS = ("user@2002.service",)


# Runs on the machine: what it reads there (credentials, tokens) stands in no command line and no log.
ASK = """
import json, sys, urllib.error, urllib.request
base, path, body, folder, secret, token = json.load(sys.stdin)
def call(path, body=None, token=None):
    request = urllib.request.Request(base + path, None if body is None else json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if token:
        request.add_header("Authorization", "Bearer " + token)
    try:
        with urllib.request.urlopen(request, timeout=300) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
if folder:
    read = lambda name: open(folder + "/airbyte_client_" + name).read()
    credentials = {"client_id": read("id"), "client_secret": secret or read("secret")}
    status, text = call("/applications/token", credentials)
    token = json.loads(text)["access_token"] if status == 200 else sys.exit(print(json.dumps([status, text])))
print(json.dumps(call(path, body, token)))
"""


@pytest.fixture(scope="module", autouse=True)
def wanted(options):
    if not options["airbyte_enabled"]:
        pytest.skip("switched off (airbyte_enabled)")


@pytest.fixture(scope="module")
def ask(host, options):
    """An answer of the API as (status, body), asked on the machine's loopback; `client` names whose token is used."""

    def call(path, body=None, client="", secret="", token=None):
        base = f"http://127.0.0.1:{options['airbyte_port']}/api/public/v1"
        folder = options["airbyte_clients"][client]["folder"] if client else ""
        told = json.dumps([base, path, body, folder, secret, token])
        said = host.check_output(f"echo {shlex.quote(told)} | python3 -c {shlex.quote(ASK)}")
        return tuple(json.loads(said))

    return call


@pytest.fixture(scope="module")
def engine(host):
    shown = host.check_output(
        "as-service airbyte docker compose --project-directory /srv/airbyte/stack ps --quiet"
        " | xargs as-service airbyte docker inspect"
    )
    (container,) = json.loads(shown)
    return container


def test_the_engine_answers_and_says_that_it_is_not_the_airbyte_platform(ask):
    status, text = ask("/health")
    assert status == 200
    assert "embedded" in text


def test_nobody_gets_further_without_a_token(ask):
    for path in ("/workspaces", "/sources", "/connections", "/jobs"):
        assert ask(path)[0] == 401
        assert ask(path, token="a.b.c")[0] == 401


def test_a_wrong_secret_gets_no_token(ask):
    assert ask("/workspaces", client="airflow", secret="wrong")[0] == 401
    assert ask("/workspaces", client="airflow")[0] == 200


def test_airflow_may_read_and_start_jobs_and_change_nothing(ask):
    status, text = ask("/workspaces", client="airflow")
    assert status == 200
    workspace = json.loads(text)["data"][0]["workspaceId"]
    source = {"name": "x", "workspaceId": workspace, "configuration": {"sourceType": "faker"}}
    assert ask("/sources", source, client="airflow")[0] == 403
    assert ask("/workspaces", {"name": "x"}, client="airflow")[0] == 403
    assert ask("/applications", {"name": "x"}, client="airflow")[0] == 403
    job = {"connectionId": "00000000-0000-0000-0000-000000000000", "jobType": "sync"}
    assert ask("/jobs", job, client="airflow")[0] == 404, "it may ask for a job; there is no such connection"


def test_the_operator_may_do_more_than_airflow(ask):
    assert ask("/applications", client="operator")[0] == 200
    assert ask("/applications", client="airflow")[0] == 403


@pytest.fixture(scope="module")
def own_connectors(options):
    """The folder of connectors of one's own, and what it allows."""
    folder = options["airbyte_connectors"]
    return folder, json.loads(Path(folder, "registry.json").read_text()) if folder else {}


def source(ask, type_, **configuration):
    """The answer to a source that is to be made."""
    workspace = json.loads(ask("/workspaces", client="operator")[1])["data"][0]["workspaceId"]
    wanted = {"sourceType": type_, **configuration}
    return ask(
        "/sources",
        {"name": "of the tests", "workspaceId": workspace, "configuration": wanted},
        client="operator",
    )


def test_the_engine_runs_the_connectors_that_are_allowed_and_no_others(ask, own_connectors):
    status, text = source(ask, "not-allowed")
    assert status == 400
    known = ", ".join(sorted({"faker", *own_connectors[1]}))
    assert f"Known source types: {known}. " in json.loads(text)["detail"]


def test_the_engine_cannot_change_its_program_nor_its_connectors(host, engine, own_connectors):
    read_only = {mount["Destination"] for mount in engine["Mounts"] if not mount["RW"]}
    inside = f"as-service airbyte docker exec {engine['Id']}"
    own = ["/opt/airbyte/connectors/registry.json"] if own_connectors[0] else []
    for file in ("/opt/airbyte/program/airbyte_embedded/app.py", *own):
        assert host.run(f"{inside} test -r {file}").rc == 0
        assert host.run(f"{inside} touch {file}").rc != 0
        assert any(file.startswith(f"{place}/") for place in read_only)


@pytest.mark.disturbs
def test_a_manifest_of_ones_own_offers_its_streams(host, ask, engine, own_connectors):
    if "rows" not in own_connectors[1]:
        pytest.skip("needs the connector of molecule/airbyte/connectors")
    inside = f"as-service airbyte docker exec {engine['Id']}"
    serve = "python3 -m http.server 8099 --bind 127.0.0.1 --directory /opt/airbyte/connectors/rows"
    host.check_output(f"as-service airbyte docker exec --detach {engine['Id']} {serve}")
    look = "import urllib.request as web; web.urlopen('http://127.0.0.1:8099/rows.json', timeout=5)"
    host.check_output(
        f"for again in $(seq 60); do {inside} python3 -c {shlex.quote(look)} 2> /dev/null && exit 0; done; exit 1"
    )
    for _ in range(3):  # a processor that is shared may keep a connector from its first answer in time
        status, text = source(ask, "rows", base_url="http://127.0.0.1:8099/")
        if "did not answer to spec" not in text:
            break
    assert status == 200, text
    status, text = ask(f"/streams?sourceId={json.loads(text)['sourceId']}", client="operator")
    assert status == 200, text
    (stream,) = json.loads(text)
    assert (stream["streamName"], stream["propertyFields"]) == ("rows", [["id"], ["name"]])
    status, text = source(ask, "rows")
    assert (status, json.loads(text)["detail"]) == (
        422,
        "The configuration does not fit rows: base_url is missing",
    )


def test_each_client_is_known_to_root_and_its_own_service_only(host, options):
    for client in options["airbyte_clients"].values():
        for name in ("airbyte_client_id", "airbyte_client_secret"):
            file = host.file(f"{client['folder']}/{name}")
            assert (file.user, file.group, file.mode) == ("root", client["group"], 0o440)
    folder = options["airbyte_clients"]["airflow"]["folder"]
    assert host.run(f"runuser -u airbyte -- cat {folder}/airbyte_client_secret").rc != 0
    assert host.run("runuser -u airflow -- cat /srv/airbyte/secrets/airbyte_client_secret").rc != 0


def test_the_engine_itself_keeps_no_secret_of_a_client(host, options):
    for client in options["airbyte_clients"].values():
        secret = f"{client['folder']}/airbyte_client_secret"
        assert int(host.check_output(f"wc --bytes < {secret}")) >= 40
        assert (
            host.run(f"grep --quiet --file={secret} --fixed-strings /srv/airbyte/clients/clients.json").rc
            == 1
        )


def test_the_engine_mounts_no_secret_of_the_disk(engine):
    """The engine mounts no folder of secrets, and of its clients only the list that holds hashes"""
    sources = {mount["Source"] for mount in engine["Mounts"] if mount["Type"] == "bind"}
    assert "/srv/airbyte/clients" in sources
    assert {source for source in sources if source == "/srv/airbyte" or "/secrets" in source} == set()


def test_airbyte_listens_on_loopback_only(host, options):
    lines = host.check_output(
        f"ss --tcp --listening --numeric --no-header 'sport = :{options['airbyte_port']}'"
    )
    places = {line.split()[3] for line in lines.splitlines()}
    assert f"127.0.0.1:{options['airbyte_port']}" in places
    assert [place for place in places if not place.startswith("127.")] == []


def test_the_engine_has_no_rights_beyond_its_own(engine):
    settings = engine["HostConfig"]
    assert settings["ReadonlyRootfs"]
    assert settings["CapDrop"] == ["ALL"]
    assert "no-new-privileges:true" in settings["SecurityOpt"]
    assert not settings["Privileged"]
    assert settings["NetworkMode"] != "host"
    assert engine["Config"]["User"] not in ("", "0", "root")


def test_the_engine_runs_as_a_sub_id_of_airbyte(host, engine, options):
    (account,) = [user for user in options["service_users_accounts"] if user["name"] == "airbyte"]
    owner = int(host.check_output(f"stat -c %u /proc/{engine['State']['Pid']}"))
    assert account["subids"] <= owner < account["subids"] + 65536


def test_no_secret_of_a_client_shows_in_a_process_list_a_journal_or_docker_inspect(host, options):
    containers = "as-service airbyte docker ps --all --quiet | xargs as-service airbyte docker inspect"
    told = f"(ps -eo args; journalctl --no-pager --quiet --output cat; {containers})"
    assert int(host.check_output(f"{told} | wc --lines")) > 100
    for client in options["airbyte_clients"].values():
        pattern = f"--fixed-strings --file={client['folder']}/airbyte_client_secret"
        assert host.run(f"{told} | grep --quiet {pattern}").rc == 1


def test_others_cannot_read_airbytes_data(host):
    for user in ("airflow", "nobody"):
        assert host.run(f"runuser -u {user} -- ls /srv/airbyte/data").rc != 0


def test_airbyte_comes_back_at_boot(host):
    """Airbyte comes back at boot, and whenever its Docker daemon does"""
    wanted = host.file("/etc/systemd/user/docker.service.wants/airbyte.service")
    assert wanted.linked_to == "/etc/systemd/user/airbyte.service"
    assert host.file("/var/lib/systemd/linger/airbyte").exists
    state = host.check_output("as-service airbyte systemctl --user is-active airbyte.service")
    assert state.strip() == "active"


@pytest.mark.vm
def test_the_engine_is_bounded_in_memory_and_processes(engine):
    assert engine["HostConfig"]["Memory"] > 0
    assert engine["HostConfig"]["PidsLimit"] > 0
