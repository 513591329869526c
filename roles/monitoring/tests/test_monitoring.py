import base64
import io
import json
import shlex
import tarfile
import time
from pathlib import Path

import pytest
import yaml

UNITS = (
    "hangar-measure.service",
    "prometheus-alertmanager.service",
    "prometheus-node-exporter.service",
    "prometheus.service",
)
SECRETS = "/srv/monitoring/secrets"
LOOPBACK = "http://127.0.0.1"
ACCOUNT = "monitoring"
WITHIN = 90
"""Seconds from a cause to its alert."""

FIRST_LOOK = 45
"""Seconds in which Prometheus that has just started looks at each source once: it does so every 15."""


@pytest.fixture(scope="module")
def ports(options):
    """The web ports by what answers there."""
    names = {
        "exporter": "monitoring_port",
        "page": "monitoring_prometheus_port",
        "alerts": "monitoring_alertmanager_port",
    }
    return {what: int(options[name]) for what, name in names.items()}


@pytest.fixture(scope="module")
def ask(host):
    """What a URL on the machine's loopback says to who knows the password."""

    def asked(port, path):
        # The password comes through a file descriptor, so that it stands in no list of arguments.
        given = f'printf "user = scraper:%s" "$(cat {SECRETS}/scraper_password)"'
        url = shlex.quote(f"{LOOPBACK}:{port}{path}")
        return host.check_output(f"{given} | curl --silent --fail --max-time 30 --config - {url}")

    return asked


def test_the_machines_figures_can_be_read_on_loopback(ask, ports):
    """CPU, memory, disk and what the platform's own tools say can be read on the machine's loopback"""
    figures = ask(ports["exporter"], "/metrics")
    names = (
        "node_cpu_seconds_total",
        "node_memory_MemAvailable_bytes",
        "node_filesystem_avail_bytes",
        "node_load1",
        "node_timex_sync_status",
        "hangar_units_failed",
        "hangar_reboot_needed",
        "hangar_ssh_failed_logins_total",
    )
    assert [name for name in names if f"\n{name}" not in figures] == []


def test_everything_is_offered_on_loopback_only(host, ports, options):
    """The monitoring listens on loopback only"""
    ways = " or ".join(f"sport = :{port}" for port in [*ports.values(), options["monitoring_statsd_port"]])
    listening = host.check_output(f"ss --no-header --listening --tcp --udp --numeric '( {ways} )'")
    expected = {f"127.0.0.1:{port}" for port in [*ports.values(), options["monitoring_statsd_port"]]}
    places = {line.split()[4] for line in listening.splitlines()}
    assert expected - places == set()
    assert [place for place in places if not place.startswith("127.")] == []


def test_whoever_has_no_password_reads_nothing(host, ports):
    """Figures, dashboard and alerts are given to nobody without a password, not even to root"""
    status = "curl --silent --output /dev/null --max-time 30 --write-out '%{http_code} '"
    paths = {
        "exporter": ["/metrics"],
        "page": ["/metrics", "/user/", "/api/v1/alerts"],
        "alerts": ["/api/v2/alerts"],
    }
    urls = [f"{LOOPBACK}:{port}{path}" for what, port in ports.items() for path in paths[what]]
    asked = "; ".join(f"{status} {url}; {status} --user admin:admin {url}" for url in urls)
    assert set(host.check_output(asked).split()) == {"401"}


def test_people_reach_the_dashboard_and_no_other_port(attempt, ports, options):
    """People reach the dashboard alone (it asks for a password); the services' accounts reach nothing of it"""
    accounts = [account["name"] for account in options["service_users_accounts"]]
    reach = {
        (who, what): f"runuser -u {who} -- curl --silent --max-time 10 {LOOPBACK}:{port}/"
        for who in [*accounts, options["ansible_user"]]
        for what, port in ports.items()
    }
    reached = {key for key, status in attempt(reach).items() if status == 0}
    assert reached == {(options["ansible_user"], "page")}


def test_passwords_are_readable_by_root_and_the_monitoring_only(host):
    """The passwords are readable by root and the monitoring only"""
    found = host.check_output(f"stat --format '%n %U %G %a' {SECRETS} {SECRETS}/*").splitlines()
    assert found[0] == f"{SECRETS} root {ACCOUNT} 750"
    assert len(found) >= 4
    assert {line.split(maxsplit=1)[1] for line in found[1:]} == {f"root {ACCOUNT} 440"}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_has_few_rights(host, unit):
    """A unit of the monitoring has few rights"""
    judged = host.check_output(f"systemd-analyze security --no-pager {unit} | tail -n 1")
    assert float(judged.split(": ")[1].split()[0]) <= 3.0
    rights = host.check_output(f"systemctl show {unit} --property User,CapabilityBoundingSet")
    measures = unit == UNITS[0]
    assert sorted(rights.splitlines()) == [
        f"CapabilityBoundingSet={'cap_kill cap_setgid cap_setuid' if measures else ''}",
        f"User={'' if measures else ACCOUNT}",
    ]


def test_everything_comes_back_by_itself(host):
    """What watches comes back by itself"""
    shown = host.check_output(
        f"systemctl show {' '.join(UNITS)} --property UnitFileState,Restart,ActiveState --value"
    )
    assert sorted(shown.split()) == sorted(["active", "always", "enabled"] * len(UNITS))


def test_figures_are_kept_for_so_long_and_no_longer(ask, ports, options):
    """Figures are kept for the time and in the room that the settings name"""
    flags = json.loads(ask(ports["page"], "/api/v1/status/flags"))["data"]
    kept = {name: flags[f"storage.tsdb.retention.{name}"] for name in ("time", "size")}
    room = options["monitoring_disk_budget"].replace("B", "iB").replace("2048MiB", "2GiB")
    days = options["monitoring_days"]
    assert (kept["time"], kept["size"]) == (f"{days}d" if days % 7 else f"{days // 7}w", room)


def test_all_sources_give_figures(ask, ports):
    """Every source that the rules look at gives figures"""
    deadline = time.monotonic() + FIRST_LOOK
    told = []
    while time.monotonic() < deadline and (not told or "unknown" in {one["health"] for one in told}):
        told = json.loads(ask(ports["page"], "/api/v1/targets?state=active"))["data"]["activeTargets"]
        time.sleep(0.2)  # between two looks at the condition
    assert {one["labels"]["job"] for one in told} == {"machine", "alertmanager", "prometheus"}
    assert [one["lastError"] for one in told if one["health"] == "down"] == []


def test_status_is_answered(host):
    """Everything that `status` asks of the monitoring is answered"""
    said = json.loads(host.check_output("monitoring ask"))
    assert {"load", "failed_units", "container_memory", "failed_tasks"} <= set(said["figures"])


def test_every_alert_fires_and_ends(host):
    """Every alert fires when its cause is there, and ends when it is gone"""
    rules = yaml.safe_load(host.file("/etc/hangar/monitoring/rules.yml").content_string)
    proofs = yaml.safe_load((Path(__file__).parent / "proofs.yml").read_text())
    names = {one["alert"] for group in rules["groups"] for one in group["rules"] if "alert" in one}
    assert names - set(proofs) == set()
    files = {}
    for name in sorted(names):
        # Each in its own rhythm and by itself: promtool works out every rule that it is given, for each of the tests.
        every = proofs[name].get("every", 1)
        files[f"{name}.rules"] = only(name, rules)
        files[f"{name}.test"] = {
            "rule_files": [f"{name}.rules"],
            "evaluation_interval": after(every),
            "tests": [proof(name, proofs[name], every)],
        }
    tried = host.run(
        f"folder=$(mktemp -d) || exit; printf %s {packed(files)} | base64 -d | tar -xzC $folder"
        " && (cd $folder && promtool test rules *.test 2>&1); code=$?; rm -r $folder; exit $code"
    )
    assert tried.rc == 0, tried.stdout
    assert tried.stdout.count("SUCCESS") == len(names)


def only(name, rules):
    """The rules without the other alerts."""
    groups = (
        {**group, "rules": [one for one in group["rules"] if one.get("alert", name) == name]}
        for group in rules["groups"]
    )
    return {"groups": [group for group in groups if group["rules"]]}


def packed(files):
    """An archive as a word of a shell: as they are, they would be longer than a word may be."""
    kept = io.BytesIO()
    with tarfile.open(fileobj=kept, mode="w:gz") as archive:
        for name, content in files.items():
            text = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text))
    return base64.b64encode(kept.getvalue()).decode()


def proof(name, given, every):
    """A test as promtool takes it: firing at its times, silent at another."""
    fires, quiet = (
        given[key] if isinstance(given[key], list) else [given[key]] for key in ("fires", "quiet")
    )
    firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
    return {
        "interval": after(every),
        "input_series": [{"series": one, "values": str(values)} for one, values in given["series"].items()],
        "promql_expr_test": [
            *(
                {
                    "expr": firing,
                    "eval_time": after(one * every),
                    "exp_samples": [{"labels": "{}", "value": 1}],
                }
                for one in fires
            ),
            *({"expr": firing, "eval_time": after(one * every)} for one in quiet),
        ],
    }


def after(minutes):
    """A span of time as Prometheus writes it."""
    return f"{minutes * 60:.0f}s"


# Takes alerts as a webhook does, and writes them down: argument 1 is the port, 2 the file.
RECEIVER = """
import http.server, sys
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        with open(sys.argv[2], "ab") as kept:
            kept.write(self.rfile.read(int(self.headers["Content-Length"])) + b"\\n")
        self.send_response(200)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Receiver).serve_forever()
"""
PORT, KEPT = 9199, "/run/hangar-contract/alerts"
FULL = "/run/hangar-contract/full"


@pytest.fixture
def received(host):
    """What a webhook on the machine gets for a while: the settings name one, whose place is a secret."""
    host.check_output(f"install -d -o {ACCOUNT} -m 0755 /run/hangar-contract")
    settings = "/etc/hangar/monitoring/alertmanager.yml"
    receiver = {
        "name": "contract",
        "webhook_configs": [{"url_file": f"{SECRETS}/CONTRACT", "send_resolved": True}],
    }
    told = yaml.safe_load(host.check_output(f"cat {settings}"))
    told["receivers"].append(receiver)
    told["route"]["routes"].insert(0, {"receiver": "contract", "continue": True})
    try:
        host.check_output(f"cp --archive {settings} {settings}.kept")
        host.check_output(f"printf %s {shlex.quote(json.dumps(told))} > {settings}")
        host.check_output(f"printf {LOOPBACK}:{PORT}/ | monitoring set CONTRACT")
        host.check_output(f"nft insert rule inet hangar_firewall loopback_{ACCOUNT} tcp dport {PORT} accept")
        host.check_output(
            f"systemd-run --quiet --collect --unit hangar-contract-receiver --property User={ACCOUNT} "
            f"python3 -c {shlex.quote(RECEIVER)} {PORT} {KEPT}"
        )
        host.check_output("systemctl reload prometheus-alertmanager.service")
        yield lambda: [json.loads(line) for line in host.run(f"cat {KEPT}").stdout.splitlines() if line]
    finally:
        host.check_output(f"mv {settings}.kept {settings}; rm -f {SECRETS}/CONTRACT")
        host.check_output("systemctl reload prometheus-alertmanager.service hangar-firewall.service")
        host.run("systemctl stop hangar-contract-receiver.service")
        host.check_output("rm -rf /run/hangar-contract")


@pytest.fixture
def troubles(host):
    """A file system that is full and a unit that has failed; called, they are mended."""
    host.check_output(f"mkdir -p {FULL} && mount -t tmpfs -o size=8M,mode=700 contract {FULL}")
    host.run(f"dd if=/dev/zero of={FULL}/file bs=1M count=16 status=none")
    # In a container mounts do not spread into the name spaces of units that run already; on a machine they do.
    host.check_output("systemctl restart prometheus-node-exporter.service")
    host.run("systemd-run --quiet --unit hangar-contract-fails false")

    def mend():
        host.run(f"rm -f {FULL}/file")
        host.run("systemctl reset-failed hangar-contract-fails.service")

    yield mend
    mend()
    host.run(f"umount {FULL}")


def seconds_until(met, most):
    """How long it took until something is so; `most` when it is not."""
    began = time.monotonic()
    while time.monotonic() - began < most:
        if met():
            break
        time.sleep(1)
    return time.monotonic() - began


@pytest.mark.disturbs
def test_a_full_disk_and_a_failed_unit_are_told_in_time(received, troubles):
    """A full disk and a failed unit are told to the receiver within 90 seconds, and so is their end"""

    def told(status):
        alerts = [alert for message in received() for alert in message["alerts"] if alert["status"] == status]
        names = {
            alert["labels"]["alertname"]: alert for alert in alerts if "contract" in str(alert["labels"])
        }
        return {"DiskFull", "UnitFailed"} <= set(names) and names

    assert seconds_until(lambda: told("firing"), WITHIN) < WITHIN
    failed = told("firing")["UnitFailed"]
    assert failed["annotations"]["reason"] == "hangar-contract-fails.service of root has failed."
    assert failed["labels"]["level"] == "critical"
    troubles()
    assert seconds_until(lambda: told("resolved"), WITHIN) < WITHIN
