"""What Google's agent is told, and by whom its package is signed; its programs are not run here."""

import base64
import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar import promql, watch_list
from hangar.paths import REPO
from tests.templates.render import render, settings, value

ON = {"ops_agent_reachable": True, "ops_agent_wanted": True}
UNITS = "/etc/systemd/system/google-cloud-ops-agent"
LOGS, FIGURES = (
    f"{UNITS}{part}.service.d/50-hangar.conf" for part in ("-fluent-bit", "-opentelemetry-collector")
)
CONFIG = "/etc/google-cloud-ops-agent/config.yaml"


def config(**overrides: Any) -> dict[str, Any]:
    return dict(yaml.safe_load(render("ops_agent", CONFIG, **{**ON, **overrides})))


def unit(path: str) -> list[str]:
    return render("ops_agent", path, **ON).splitlines()


def test_googles_key_is_the_one_that_the_guide_names() -> None:
    """RFC 4880, 12.2: the fingerprint of a version 4 key is the SHA-1 of its packet."""
    text = (REPO / "roles/ops_agent/files/google-cloud.asc").read_text()
    body = re.search(r"\n\n(.+?)\n=", text, re.DOTALL)
    assert body
    raw = base64.b64decode(body[1])
    assert raw[0] == 0xC6  # one public key, in the new format
    length = ((raw[1] - 192) << 8) + raw[2] + 192
    packet = raw[3 : 3 + length]
    found = hashlib.sha1(b"\x99" + len(packet).to_bytes(2) + packet).hexdigest().upper()
    assert found == "35BAA0B33E9EB396F59CA838C0BA5CE6DC6315A3"
    readme = (REPO / "roles/ops_agent/README.md").read_text()
    assert " ".join(re.findall("....", found)) in readme


def test_one_version_of_one_package_is_taken_from_google() -> None:
    pins = render("ops_agent", "/etc/apt/preferences.d/hangar-ops-agent", ops_agent_version="2.70.0")
    assert "Package: google-cloud-ops-agent\nPin: version 2.70.0~debian13\nPin-Priority: 1001\n" in pins
    assert "Package: *\nPin: origin packages.cloud.google.com\nPin-Priority: -1\n" in pins
    source = settings(render("ops_agent", "/etc/apt/sources.list.d/hangar-google-cloud.sources"), ":")
    assert source["Signed-By"] == "/etc/apt/keyrings/hangar-google-cloud.asc"
    assert source["URIs"].startswith("https://")


def test_figures_are_read_on_loopback_with_the_machines_password() -> None:
    scraped = config()["metrics"]["receivers"]["figures"]["config"]["scrape_configs"]
    machine, worked_out = scraped
    assert machine["static_configs"] == [{"targets": ["127.0.0.1:9100"], "labels": {"machine": "machine"}}]
    assert worked_out["static_configs"] == [{"targets": ["127.0.0.1:9090"]}]
    assert worked_out["metrics_path"] == "/federate"
    password = "/run/credentials/google-cloud-ops-agent-opentelemetry-collector.service/scraper_password"
    for one in scraped:
        assert one["basic_auth"] == {"username": "scraper", "password_file": password}
        assert "honor_labels" not in one  # the agent refuses it
    assert "LoadCredential=scraper_password:/srv/monitoring/secrets/scraper_password" in unit(FIGURES)


def test_every_figure_that_google_is_asked_for_is_sent() -> None:
    expressions = [one["expr"] for panel in watch_list.panels() for one in panel["series"]]
    expressions += [one.expr for one in watch_list.alerts() if one.expr]
    asked = {watch_list.FIRING}.union(*(promql.names(one) for one in expressions))
    machine, worked_out = config()["metrics"]["receivers"]["figures"]["config"]["scrape_configs"]
    pattern = machine["metric_relabel_configs"][0]["regex"]
    kept = worked_out["metric_relabel_configs"][0]["regex"]
    by_name, alone = worked_out["params"]["match[]"]
    selected = f"{by_name.split(chr(34))[1]}|{alone}"
    recorded = {one["name"] for one in watch_list._read()["figures"]} | {watch_list.FIRING}
    for name in asked:
        if name in recorded or name.startswith("process_"):
            assert re.fullmatch(selected, name), name
            assert re.fullmatch(kept, name), name
        else:
            assert re.fullmatch(pattern, name), name


def test_an_alert_that_fires_is_a_figure_where_figures_are_sent_and_nowhere_else() -> None:
    role = {"role_path": str(REPO / "roles/monitoring")}
    for shipped in (True, False):
        text = render("monitoring", "/etc/hangar/monitoring/rules.yml", monitoring_shipped=shipped, **role)
        rules = yaml.safe_load(text)["groups"][0]["rules"]
        found = [one for one in rules if one.get("record") == watch_list.FIRING]
        wanted = [{"record": watch_list.FIRING, "expr": 'ALERTS{alertstate="firing"}'}]
        assert found == (wanted if shipped else [])


def test_googles_own_collection_is_off() -> None:
    told = config()
    for kind in ("logging", "metrics"):
        assert told[kind]["service"]["pipelines"]["default_pipeline"] == {"receivers": []}
    assert told["global"] == {"default_self_log_file_collection": False}


def test_every_line_passes_what_holds_secrets_back() -> None:
    pipelines = config()["logging"]["service"]["pipelines"]
    told = {name: one["processors"] for name, one in pipelines.items() if one["receivers"]}
    assert set(told) == {"journal", "tasks", "containers"}
    assert [name for name, processors in told.items() if "secrets" not in processors] == []
    known = set(config()["logging"]["processors"])
    assert {one for processors in told.values() for one in processors} <= known


SECRETS = [
    "-----BEGIN OPENSSH PRIVATE " + "KEY-----", "AGE-SECRET-KEY-1QQQQQQQQ", "postgresql://loader:hunter22@127.0.0.1/dwh",
    'password: "correct-horse"', "api_key=0123456789abcdef", "Authorization: Bearer eyJhbGciOi",
    "https://hooks.slack.com/services/T0/B0/x",
]  # fmt: skip
PLAIN = [
    "password: ***", "postgresql://loader:***@127.0.0.1/dwh", "The secret SLACK_URL is not on the machine.",
    "Accepted publickey for ada from 35.235.240.1 port 4444", "token expired", "http://127.0.0.1:8080/api/v2/version",
]  # fmt: skip


def held_back(line: str) -> bool:
    filters = config()["logging"]["processors"]["secrets"]["match_any"]
    patterns = {re.fullmatch(r'jsonPayload\.(?:message|MESSAGE) =~ "(.+)"', one)[1] for one in filters}  # type: ignore[index]
    return any(re.search(pattern, line) for pattern in patterns)


@pytest.mark.parametrize("line", SECRETS)
def test_a_line_that_looks_like_a_secret_stays_on_the_machine(line: str) -> None:
    assert held_back(line)


@pytest.mark.parametrize("line", PLAIN)
def test_a_line_without_one_is_sent(line: str) -> None:
    assert not held_back(line)


def taken_apart(processor: str, text: str) -> dict[str, str]:
    regex = config()["logging"]["processors"][processor]["regex"].replace("(?<", "(?P<")
    found = re.search(regex, text)
    return {name: said for name, said in found.groupdict().items() if said} if found else {}


def test_a_tasks_line_says_its_dag_run_and_task() -> None:
    place = "/srv/airflow/logs/dag_id=elt/run_id=scheduled__2026-11-28T00:00:00+00:00/task_id=load.sync"
    run = {"dag": "elt", "run": "scheduled__2026-11-28T00:00:00+00:00", "task": "load.sync", "try": "2"}
    assert taken_apart("task_place", f"{place}/attempt=2.log") == run
    assert taken_apart("task_place", f"{place}/map_index=7/attempt=2.log") == {**run, "map": "7"}
    assert taken_apart("task_place", "/srv/airflow/logs/dag_processor/latest") == {}


def test_a_line_that_names_a_job_says_it() -> None:
    assert taken_apart("job", "Job 12 has ended") == {"job": "12"}
    assert taken_apart("job", "job_id=7 runs") == {"job": "7"}
    assert taken_apart("job", "no such thing") == {}
    assert taken_apart("container_place", "/srv/airbyte/docker/containers/ab/ab-json.log") == {
        "user": "airbyte"
    }


def test_the_logs_that_are_read_are_all_that_is_seen_of_srv() -> None:
    lines = unit(LOGS)
    assert "TemporaryFileSystem=/srv" in lines
    assert [line for line in lines if line.startswith("Bind")] == [
        "BindReadOnlyPaths=-/srv/airflow/logs", "BindReadOnlyPaths=-/srv/airflow/docker/containers",
        "BindReadOnlyPaths=-/srv/airbyte/docker/containers",
    ]  # fmt: skip
    assert "CapabilityBoundingSet=CAP_DAC_READ_SEARCH" in lines
    assert "CapabilityBoundingSet=" in unit(FIGURES)
    for path in (LOGS, FIGURES, f"{UNITS}.service.d/50-hangar.conf"):
        assert {"User=ops-agent", "NoNewPrivileges=yes", "ProtectSystem=strict", "MemoryMax=256M"} <= set(
            unit(path)
        )


# As Google's engine writes them (GoogleCloudPlatform/ops-agent 2.70.0, its own expected files), shortened.
WRITTEN = {
    LOGS: "[OUTPUT]\n    Match *\n    Name  prometheus_exporter\n    host  0.0.0.0\n    port  20202\n",
    FIGURES: "static_configs:\n  - targets:\n    - 0.0.0.0:20202\nprometheus:\n  host: 0.0.0.0\n  port: 20201\n",
}


@pytest.mark.parametrize("path", [LOGS, FIGURES])
def test_what_would_be_on_every_address_is_put_on_loopback(path: str, tmp_path: Path) -> None:
    (command,) = [line.partition("=")[2] for line in unit(path) if line.startswith("ExecStartPre=")]
    program, *arguments, place = command.split()
    assert place.startswith("${RUNTIME_DIRECTORY}/")
    written = tmp_path / "settings"
    written.write_text(WRITTEN[path])
    subprocess.run([Path(program).name, *arguments, str(written)], check=True)
    assert written.read_text() == WRITTEN[path].replace("0.0.0.0", "127.0.0.1")


def test_the_agents_account_reaches_what_it_reads_and_nothing_else() -> None:
    rules = value("firewall", "firewall_loopback_rules", **ON)
    assert [one["port"] for one in rules if one["user"] == "ops-agent"] == [9100, 9090, 20201, 20202]
    assert value("firewall", "firewall_metadata_accounts", **ON) == ["ops-agent"]
    table = render("firewall", "/etc/hangar/firewall.nft", **ON)
    assert "chain loopback_ops_agent {" in table
    assert "meta skuid { 703 } goto loopback_ops_agent" in table
    off = render("firewall", "/etc/hangar/firewall.nft")
    assert "ops_agent" not in off
    assert value("firewall", "firewall_metadata_accounts") == []


def test_containers_write_what_the_agent_reads_and_only_then() -> None:
    text = yaml.safe_load(render("docker_host", "/etc/docker/rootless.json", **ON))
    assert (text["log-driver"], text["log-opts"]["tag"]) == ("json-file", "{{.Name}}")
    assert text["log-opts"]["max-file"]
    assert yaml.safe_load(render("docker_host", "/etc/docker/rootless.json"))["log-driver"] == "local"


def test_without_logs_or_figures_the_settings_are_still_some() -> None:
    told = config(ops_agent_figures=[], ops_agent_task_logs="", ops_agent_container_logs=[])
    assert told["metrics"]["receivers"] == {}
    assert set(told["logging"]["receivers"]) == {"journal"}
