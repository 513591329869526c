"""Airbyte's platform as abctl leaves it: who reaches it, what Airflow may do there, and what it may not."""

import json
import shlex
import socket

import pytest

UNITS = ("airbyte-filter.service", "user@2002.service")

NODE = "airbyte-abctl-control-plane"
WIDE_OPEN = "nft insert rule inet hangar_firewall input tcp dport {} accept"

# Runs on the machine: what it reads there (credentials, tokens) stands in no command line and no log.
ASK = """
import http.client, json, sys
port, gives, folder, secret, requests = json.load(sys.stdin)
def call(port, method, path, body=None, headers={}):
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    given = None if body is None else json.dumps(body)
    link.request(method, path, given, {"Content-Type": "application/json", **headers})
    answer = link.getresponse()
    return answer.status, answer.read().decode(errors="replace")
base = "/api/public/v1"
bearer = {}
if folder:
    read = lambda name: open(folder + "/airbyte_client_" + name).read()
    credentials = {"client_id": read("id"), "client_secret": secret or read("secret")}
    credentials["grant_type"] = "client_credentials"
    status, text = call(gives, "POST", base + "/applications/token", credentials)
    if status != 200:
        sys.exit(print(json.dumps([[status, ""]] * len(requests))))
    bearer = {"Authorization": "Bearer " + json.loads(text)["access_token"]}
print(json.dumps([call(port, method, path, body, {**headers, **bearer}) for method, path, body, headers in requests]))
"""
BASE = "/api/public/v1"
SOMEBODY = "00000000-0000-0000-0000-000000000001"


@pytest.fixture(scope="module")
def ask(host, options):
    """Answers as (status, body): each request is (method, path[, body[, headers]]), asked on the machine's loopback
    with a token that the port `gives` gave."""

    def call(
        *requests,
        port="airbyte_abctl_filter_port",
        gives="airbyte_abctl_filter_port",
        client="airflow",
        secret="",
    ):
        whole = [[*request, *(None, {})[len(request) - 2 :]] for request in requests]
        folder = options["airbyte_abctl_clients"][client]["folder"] if client else ""
        told = json.dumps([int(options[port]), int(options[gives]), folder, secret, whole])
        said = host.check_output(f"printf %s {shlex.quote(told)} | python3 -c {shlex.quote(ASK)}")
        return [tuple(one) for one in json.loads(said)]

    return call


@pytest.fixture(scope="module")
def outside(host):
    """Whether a port of the machine's own address answers somebody who is not on the machine."""
    address = host.check_output("hostname --all-ip-addresses").split()[0]

    def reached(port):
        try:
            with socket.create_connection((address, port), timeout=3):
                return True
        except OSError:
            return False

    return reached


def statuses(answers):
    return [status for status, _ in answers]


def test_airbyte_answers_and_nobody_gets_further_without_a_token(ask):
    for port in ("airbyte_abctl_port", "airbyte_abctl_filter_port"):
        health, *others = ask(
            ("GET", f"{BASE}/health"), ("GET", f"{BASE}/workspaces"), ("GET", f"{BASE}/connections"),
            port=port, client="",
        )  # fmt: skip
        assert health[0] == 200
        assert statuses(others) == [401, 401]


def test_a_wrong_secret_gets_no_token(ask):
    assert statuses(ask(("GET", f"{BASE}/workspaces"), secret="wrong")) == [401]
    assert statuses(ask(("GET", f"{BASE}/workspaces"))) == [200]


def test_airflows_secret_is_worth_nothing_at_airbyte_itself(ask):
    """Airflow's secret is worth nothing at Airbyte itself, nor the operator's at the filter"""
    itself = "airbyte_abctl_port"
    assert statuses(ask(("GET", f"{BASE}/workspaces"), gives=itself, port=itself)) != [200]
    assert statuses(ask(("GET", f"{BASE}/workspaces"), client="operator")) == [401]
    assert statuses(ask(("GET", f"{BASE}/workspaces"), client="operator", gives=itself, port=itself)) == [200]


def test_airflow_may_read_and_start_and_cancel_jobs(ask):
    admitted = [
        ("GET", f"{BASE}/workspaces"),
        ("GET", f"{BASE}/connections/{SOMEBODY}"),
        ("GET", f"{BASE}/jobs?limit=1&status=running"),
        ("GET", f"{BASE}/sources"),
        ("GET", f"{BASE}/destinations/{SOMEBODY}"),
        ("POST", f"{BASE}/jobs", {"connectionId": SOMEBODY, "jobType": "sync"}),
        ("DELETE", f"{BASE}/jobs/999999999"),
        ("POST", "/api/v1/jobs/get_without_logs", {"id": 1}),
    ]
    found = dict(zip(map(str, admitted), statuses(ask(*admitted)), strict=True))
    # 502 to 504 are the filter's own words for an Airbyte that it does not reach.
    assert [request for request, status in found.items() if status in (401, 403, 502, 503, 504)] == []


def test_airflow_may_change_nothing_else_though_airbyte_itself_would_let_it(ask):
    """Airflow may change nothing else: Airbyte itself would let it, the filter does not"""
    refused = [
        ("GET", f"{BASE}/applications"),
        ("POST", f"{BASE}/applications", {"name": "x"}),
        ("DELETE", f"{BASE}/applications/{SOMEBODY}"),
        ("POST", f"{BASE}/sources", {"name": "x"}),
        ("PATCH", f"{BASE}/connections/{SOMEBODY}", {"name": "x"}),
        ("PUT", f"{BASE}/destinations/{SOMEBODY}", {"name": "x"}),
        ("DELETE", f"{BASE}/connections/{SOMEBODY}"),
        ("DELETE", f"{BASE}/jobs"),
        ("POST", f"{BASE}/jobs/1", {}),
        ("POST", f"{BASE}/workspaces", {"name": "x"}),
        ("GET", f"{BASE}/users"),
        ("GET", f"{BASE}/permissions"),
        ("POST", "/api/v1/sources/list", {"workspaceId": SOMEBODY}),
        ("POST", "/api/v1/jobs/get", {"id": 1}),
        ("GET", "/api/v1/jobs/get_without_logs"),
        ("GET", "/"),
    ]
    found = dict(zip(map(str, refused), statuses(ask(*refused)), strict=True))
    assert {request: status for request, status in found.items() if status != 403} == {}
    itself = ask(("GET", f"{BASE}/applications"), port="airbyte_abctl_port")
    assert statuses(itself) == [200], "with the same token, past the filter"


def test_no_spelling_of_a_path_gets_past_the_filter(ask):
    tricks = [
        f"{BASE}/jobs/../applications", f"{BASE}/jobs/%2e%2e/applications", f"{BASE}//applications",
        f"{BASE}/jobs/..%2fapplications", f"{BASE}/sources/;/../applications", f"{BASE}/./applications",
        f"{BASE}/Applications", f"{BASE}/applications/", f"{BASE}/sources/{SOMEBODY}/applications",
        f"/{BASE}/workspaces", f"{BASE}/jobs%00/../applications", f"{BASE}/jobs\\..\\applications",
    ]  # fmt: skip
    found = dict(zip(tricks, statuses(ask(*(("GET", path) for path in tricks))), strict=True))
    assert {path: status for path, status in found.items() if status not in (400, 403)} == {}


def test_no_other_method_or_protocol_hides_in_a_request_that_is_admitted(ask):
    hidden = [
        ("GET", f"{BASE}/workspaces", None, {"X-HTTP-Method-Override": "DELETE"}),
        ("GET", f"{BASE}/workspaces", None, {"Connection": "Upgrade", "Upgrade": "websocket"}),
        ("GET", f"{BASE}/workspaces", None, {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c",
                                             "HTTP2-Settings": "AAA"}),
    ]  # fmt: skip
    plain, websocket, h2c = statuses(ask(*hidden))
    # 101 would be a tunnel in which nobody looks any more.
    assert (plain, h2c) == (200, 200)
    assert websocket in (200, 400)
    assert statuses(ask(("POST", f"{BASE}/jobs", {"connectionId": "x" * 20_000}))) in ([403], [413])


def test_whatever_name_a_request_is_sent_to_airbyte_gets_the_one_that_it_knows(ask, options):
    own = f"localhost:{options['airbyte_abctl_port']}"
    names = ("host.docker.internal:8001", "airbyte.example.org", "169.254.169.254", own)
    answers = ask(*(("GET", f"{BASE}/workspaces", None, {"Host": name}) for name in names))
    assert statuses(answers) == [200] * len(names)
    # Airbyte itself keeps the name to itself; a platform that repeats it was sent its own.
    assert {json.loads(body).get("host", own) for _, body in answers} == {own}


def test_airflow_reaches_the_filter_and_not_airbyte(attempt, options):
    def reach(user, port):
        probe = f"import socket; socket.create_connection(('127.0.0.1', {options[port]}), 3)"
        return f"runuser -u {user} -- python3 -c {shlex.quote(probe)}"

    told = attempt({
        "airflow, filter": reach("airflow", "airbyte_abctl_filter_port"),
        "airflow, airbyte": reach("airflow", "airbyte_abctl_port"),
        "nobody, filter": reach("nobody", "airbyte_abctl_filter_port"),
        "nobody, airbyte": reach("nobody", "airbyte_abctl_port"),
        "root, airbyte": reach("root", "airbyte_abctl_port"),
    })  # fmt: skip
    assert {who for who, status in told.items() if status == 0} == {"airflow, filter", "root, airbyte"}


def test_nobody_outside_reaches_airbyte_though_abctl_binds_every_address(host, options, outside):
    """Nobody outside the machine reaches Airbyte, though abctl binds its port on every address"""
    port = options["airbyte_abctl_port"]
    bound = host.check_output(f"ss --tcp --listening --numeric --no-header 'sport = :{port}'").split()[3]
    assert bound == f"0.0.0.0:{port}"
    assert not outside(int(port))
    assert not outside(int(options["airbyte_abctl_filter_port"]))


@pytest.mark.disturbs
def test_it_is_the_firewall_that_keeps_the_port_shut(host, options, outside):
    port = int(options["airbyte_abctl_port"])
    try:
        host.check_output(WIDE_OPEN.format(port))
        assert outside(port), "without the firewall it would be open"
    finally:
        host.check_output("systemctl reload hangar-firewall.service")
    assert not outside(port)


def test_the_filter_listens_on_loopback_only_and_has_no_rights(host, options):
    port = options["airbyte_abctl_filter_port"]
    told = host.check_output(f"ss --tcp --listening --numeric --no-header 'sport = :{port}'")
    places = {line.split()[3] for line in told.splitlines()}
    assert f"127.0.0.1:{port}" in places
    assert [place for place in places if not place.startswith("127.")] == []
    pid = host.check_output("systemctl show --property MainPID --value airbyte-filter.service").strip()
    status = dict(
        line.split(":\t", 1)
        for line in host.file(f"/proc/{pid}/status").content_string.splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split()[0] == str(host.user("airbyte-filter").uid)
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert (status["NoNewPrivs"].strip(), status["Seccomp"].strip()) == ("1", "2")


def test_the_cluster_runs_as_a_sub_id_of_airbyte(host, options):
    (account,) = [user for user in options["service_users_accounts"] if user["name"] == "airbyte"]
    pid = host.check_output(f"as-service airbyte docker inspect --format '{{{{.State.Pid}}}}' {NODE}").strip()
    inside, outside, _ = host.check_output(f"head -1 /proc/{pid}/uid_map").split()
    assert (inside, outside) == ("0", str(account["uid"]))


def test_each_client_is_known_to_root_and_its_own_service_only(host, options):
    for client in options["airbyte_abctl_clients"].values():
        for name in ("airbyte_client_id", "airbyte_client_secret"):
            file = host.file(f"{client['folder']}/{name}")
            assert (file.user, file.group, file.mode) == ("root", client["group"], 0o440)
    assert host.run("runuser -u airbyte -- cat /srv/airflow/secrets/airbyte_client_secret").rc != 0
    assert host.run("runuser -u airflow -- cat /srv/airbyte/secrets/airbyte_client_secret").rc != 0


def test_no_secret_of_a_client_shows_in_a_process_list_or_the_journal(host, options):
    told = "(ps -eo args; journalctl --no-pager --quiet --output cat)"
    assert int(host.check_output(f"{told} | wc --lines")) > 100
    for client in options["airbyte_abctl_clients"].values():
        pattern = f"--fixed-strings --file={client['folder']}/airbyte_client_secret"
        assert host.run(f"{told} | grep --quiet {pattern}").rc == 1


def test_airbyte_tells_nobody_about_itself_and_asks_who_one_is(host):
    values = host.file("/srv/airbyte/abctl/values.yaml").content_string
    assert "tracking:\n    enabled: false" in values
    assert "auth:\n    enabled: true" in values
    assert "DO_NOT_TRACK=1" in host.file("/srv/airbyte/abctl/inside").content_string


def test_airbyte_comes_back_at_boot(host):
    """Airbyte comes back at boot, and whenever its Docker daemon does"""
    wanted = host.file("/etc/systemd/user/docker.service.wants/airbyte-abctl.service")
    assert wanted.exists
    assert host.file("/var/lib/systemd/linger/airbyte").exists
    state = host.check_output("as-service airbyte systemctl --user is-active airbyte-abctl.service")
    assert state.strip() == "active"
    assert host.check_output("systemctl is-enabled airbyte-filter.service").strip() == "enabled"


def test_the_daily_cleaning_leaves_the_cluster_alone(host):
    """The daily cleaning leaves the cluster alone, even while it stands still"""
    unit = host.file("/etc/systemd/user/docker-prune.service").content_string
    (line,) = [line for line in unit.splitlines() if "docker container prune" in line]
    assert "label!=io.x-k8s.kind.cluster" in line
