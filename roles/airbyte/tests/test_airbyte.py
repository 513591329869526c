import json

import pytest

UNITS = ("user@2002.service",)


@pytest.fixture(scope="module")
def ask(host, options):
    """An answer of the API as (status, body), asked on the machine's loopback as root."""

    def call(path, body=None, token=None):
        base = f"http://127.0.0.1:{options['airbyte_port']}/api/public/v1"
        # curl reads what must not show in a process list from standard input.
        config = [f'url = "{base}{path}"', 'write-out = "\\n%{http_code}"']
        if token:
            config.append(f'header = "Authorization: Bearer {token}"')
        if body is not None:
            quoted = json.dumps(body).replace("\\", "\\\\").replace('"', '\\"')
            config += [f'data = "{quoted}"', 'header = "Content-Type: application/json"']
        script = "\n".join(config)
        said = host.check_output(f"curl --silent --max-time 20 --config - <<'END'\n{script}\nEND")
        text, _, status = said.rpartition("\n")
        return int(status), text

    return call


@pytest.fixture(scope="module")
def token(host, ask, options):
    """A token of a client, by the name that the options give it."""

    def of(name):
        folder = options["airbyte_clients"][name]["folder"]
        identifier, secret = host.check_output(
            f"cat {folder}/airbyte_client_id; echo; cat {folder}/airbyte_client_secret"
        ).split()
        body = {"client_id": identifier, "client_secret": secret, "grant_type": "client_credentials"}
        status, text = ask("/applications/token", body)
        assert status == 200
        return json.loads(text)["access_token"]

    return of


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


def test_a_wrong_secret_gets_no_token(ask, host, options):
    folder = options["airbyte_clients"]["airflow"]["folder"]
    identifier = host.check_output(f"cat {folder}/airbyte_client_id")
    status, _ = ask("/applications/token", {"client_id": identifier, "client_secret": "wrong"})
    assert status == 401


def test_airflow_may_read_and_start_jobs_and_change_nothing(ask, token):
    mine = token("airflow")
    status, text = ask("/workspaces", token=mine)
    assert status == 200
    workspace = json.loads(text)["data"][0]["workspaceId"]
    source = {"name": "x", "workspaceId": workspace, "configuration": {"sourceType": "faker"}}
    assert ask("/sources", source, token=mine)[0] == 403
    assert ask("/workspaces", {"name": "x"}, token=mine)[0] == 403
    assert ask("/applications", {"name": "x"}, token=mine)[0] == 403
    job = {"connectionId": "00000000-0000-0000-0000-000000000000", "jobType": "sync"}
    assert ask("/jobs", job, token=mine)[0] == 404, "it may ask for a job; there is no such connection"


def test_the_operator_may_do_more_than_airflow(ask, token):
    assert ask("/applications", token=token("operator"))[0] == 200
    assert ask("/applications", token=token("airflow"))[0] == 403


def test_each_client_is_known_to_root_and_its_own_service_only(host, options):
    for client in options["airbyte_clients"].values():
        for name in ("airbyte_client_id", "airbyte_client_secret"):
            file = host.file(f"{client['folder']}/{name}")
            assert (file.user, file.group, file.mode) == ("root", client["group"], 0o440)
    folder = options["airbyte_clients"]["airflow"]["folder"]
    assert host.run(f"runuser -u airbyte -- cat {folder}/airbyte_client_secret").rc != 0
    assert host.run("runuser -u airflow -- cat /srv/airbyte/secrets/airbyte_client_secret").rc != 0


def test_the_engine_itself_keeps_no_secret_of_a_client(host, options):
    listed = host.file("/srv/airbyte/clients/clients.json").content_string
    for client in options["airbyte_clients"].values():
        secret = host.check_output(f"cat {client['folder']}/airbyte_client_secret")
        assert len(secret) >= 40
        assert secret not in listed


def test_airbyte_listens_on_loopback_only(host, options):
    lines = host.check_output(
        f"ss --tcp --listening --numeric --no-header 'sport = :{options['airbyte_port']}'"
    )
    assert {line.split()[3] for line in lines.splitlines()} == {f"127.0.0.1:{options['airbyte_port']}"}


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


def test_no_secret_of_a_client_shows_in_a_process_list_a_journal_or_docker_inspect(host, options, engine):
    told = host.check_output("ps -eo args") + host.check_output("journalctl --no-pager --quiet --output cat")
    told += json.dumps(engine)
    for client in options["airbyte_clients"].values():
        assert host.check_output(f"cat {client['folder']}/airbyte_client_secret") not in told


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
