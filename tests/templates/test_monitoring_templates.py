import re
from fnmatch import fnmatch
from typing import Any

import pytest
import yaml

from hangar.paths import REPO
from tests.templates.render import render, settings, value

ROLE = {"role_path": str(REPO / "roles/monitoring")}
UNITS = "/etc/systemd/system"
NODE_EXPORTER = f"{UNITS}/prometheus-node-exporter.service.d/50-hangar.conf"


def rules(**overrides: Any) -> dict[str, dict[str, Any]]:
    given = {"monitoring_services": {}, **ROLE, **overrides}
    shown = yaml.safe_load(render("monitoring", "/etc/hangar/monitoring/rules.yml", **given))
    return {one.get("alert") or one["record"]: one for one in shown["groups"][0]["rules"]}


def alertmanager(**receivers: Any) -> dict[str, Any]:
    shown = render(
        "monitoring", "/etc/hangar/monitoring/alertmanager.yml", monitoring_receivers=receivers, **ROLE
    )
    return dict(yaml.safe_load(shown))


def test_the_exporter_listens_on_loopback_whatever_the_port() -> None:
    text = render(
        "monitoring", NODE_EXPORTER, monitoring_port=9200, monitoring_collectors=["cpu", "meminfo"], **ROLE
    )
    command = text.split("ExecStart=/usr/bin/")[1].split("\nRestart=")[0].replace("\\\n", "").split()
    assert command == [
        "prometheus-node-exporter",
        "--web.listen-address=127.0.0.1:9200",
        "--web.config.file=/srv/monitoring/secrets/web.yml",
        "--web.disable-exporter-metrics",
        "--web.max-requests=2",
        "--collector.disable-defaults",
        "--collector.cpu",
        "--collector.meminfo",
        "--log.level=warn",
    ]
    assert "ExecStart=\nExecStart=/" in text  # Debian's own command is dropped first


@pytest.mark.parametrize("package", ["prometheus", "prometheus-alertmanager", "prometheus-node-exporter"])
def test_nothing_starts_before_there_is_a_password(package: str) -> None:
    text = render("monitoring", f"{UNITS}/{package}.service.d/50-hangar.conf", **ROLE)
    assert "ConditionPathExists=/srv/monitoring/secrets/web.yml" in text
    assert "--web.config.file=/srv/monitoring/secrets/web.yml" in text
    assert "--web.listen-address=127.0.0.1:" in text
    assert settings(text)["User"] == "monitoring"
    assert settings(text)["CapabilityBoundingSet"] == ""


def test_what_is_not_on_the_machine_is_not_watched() -> None:
    alone, whole = (
        rules(),
        rules(monitoring_services={"airflow": {}, "airbyte": {}, "warehouse": {}, "containers": {}}),
    )
    assert {"DiskFull", "UnitFailed", "BackupOld"} <= set(alone)
    assert {"DagRunFailed", "AirbyteJobFailed", "WarehouseDown", "ContainerDown"}.isdisjoint(alone)
    assert {"DagRunFailed", "AirbyteJobFailed", "WarehouseDown", "ContainerDown"} <= set(whole)


def test_changed_files_are_told_with_their_own_cure_and_once() -> None:
    """`up`, which puts other failed units right, does not."""
    found = rules()
    others, killed = found["UnitFailed"]["expr"].split(" or ")
    assert others == 'hangar_unit_failed{unit!~"hangar-(backup|integrity).service"} == 1'
    assert (
        killed
        == '(hangar_unit_failed{unit="hangar-backup.service"} == 1 unless on () hangar_backup_failed == 1)'
    )
    assert found["SystemFilesChanged"]["expr"] == 'hangar_unit_failed{unit="hangar-integrity.service"} == 1'
    assert (
        "sudo /usr/local/lib/hangar/integrity accept" in found["SystemFilesChanged"]["annotations"]["action"]
    )


def test_the_limits_of_the_settings_are_those_of_the_alerts() -> None:
    found = rules(monitoring_limits={"cpu": 70, "memory": 60, "disk": 50})
    assert found["CpuBusy"]["expr"] == "hangar_cpu_used_ratio > 0.7"
    assert found["MemoryShort"]["expr"] == "hangar_memory_used_ratio > 0.6"
    assert found["DiskAlmostFull"]["expr"] == "hangar_disk_used_ratio > 0.5"
    assert not re.search("<(cpu|memory|disk)>", "".join(one["expr"] for one in found.values()))


def test_prometheus_own_words_reach_it_untouched() -> None:
    assert rules()["DiskFull"]["annotations"]["reason"] == (
        "{{ $labels.mountpoint }} is {{ $value | humanizePercentage }} full; services are about to stop."
    )


def test_the_machine_has_one_name_whoever_tells_of_it() -> None:
    shown = [
        render("monitoring", f"/etc/hangar/monitoring/{name}", inventory_hostname="hangar-night", **ROLE)
        for name in ("described.json", "prometheus.yml")
    ]
    described, prometheus = (yaml.safe_load(one) for one in shown)
    assert described["machine"] == prometheus["global"]["external_labels"]["machine"] == "hangar-night"


def test_the_certificates_by_which_logs_leave_the_machine_are_watched_too() -> None:
    described = yaml.safe_load(render("monitoring", "/etc/hangar/monitoring/described.json", **ROLE))
    audit = yaml.safe_load((REPO / "roles/hardening_audit/vars/main.yml").read_text())
    given = audit["__hardening_audit_forward_given"]
    assert given
    for path in given:
        assert any(fnmatch(path, pattern) for pattern in described["certificates"]), path


def test_without_receivers_nobody_is_told() -> None:
    shown = alertmanager()
    assert (shown["receivers"], shown["route"]["receiver"], shown["route"]["routes"]) == (
        [{"name": "nobody"}],
        "nobody",
        [],
    )


def test_receivers_get_their_levels_and_name_their_secret_as_a_file() -> None:
    shown = alertmanager(
        team={"kind": "slack", "secret": "SLACK_URL", "levels": ["critical", "warning"], "channel": "#data"},
        night={"kind": "webhook", "secret": "PAGER", "levels": ["critical"]},
        mail={"kind": "email", "to": "a@example.org", "from": "b@example.org", "server": "smtp.example.org:587",
              "login": "b", "secret": "SMTP", "levels": ["critical"]},
    )  # fmt: skip
    assert [(one["receiver"], one["matchers"]) for one in shown["route"]["routes"]] == [
        ("team", ['level=~"critical|warning"']),
        ("night", ['level=~"critical"']),
        ("mail", ['level=~"critical"']),
    ]
    _, team, night, mail = shown["receivers"]
    folder = "/srv/monitoring/secrets"
    assert team["slack_configs"][0]["api_url_file"] == f"{folder}/SLACK_URL"
    assert team["slack_configs"][0]["title"] == '{{ template "hangar.title" . }}'
    assert night["webhook_configs"] == [{"url_file": f"{folder}/PAGER", "send_resolved": True}]
    assert mail["email_configs"][0]["auth_password_file"] == f"{folder}/SMTP"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a": {"kind": "pigeon"}}, "monitoring_receivers.a: its kind is none of slack, email and webhook"),
        ({"a": {"kind": "slack"}}, "monitoring_receivers.a: needs a secret, which holds its URL"),
        ({"a": {"kind": "webhook", "secret": "../x"}},
         "monitoring_receivers.a: a secret has a name of letters, digits and _"),
        ({"a": {"kind": "email", "to": "x", "from": "y"}}, "monitoring_receivers.a: mail needs server"),
        ({"a": {"kind": "webhook", "secret": "admin_password"}},
         "monitoring_receivers.a: admin_password is a password of the monitoring's own"),
        ({"nobody": {"kind": "slack", "secret": "X"}}, "monitoring_receivers.nobody: the name is taken"),
        ({"a": {"kind": "slack", "secret": "X", "levels": ["loud"]}},
         "monitoring_receivers.a: loud is none of critical, warning and grow"),
    ],
)  # fmt: skip
def test_a_receiver_that_cannot_work_is_refused(given: dict[str, Any], said: str) -> None:
    assert value("monitoring", "__monitoring_refused", monitoring_receivers=given, **ROLE) == [said]


def test_every_source_is_asked_with_a_password_that_stands_in_a_file() -> None:
    shown = yaml.safe_load(render("monitoring", "/etc/hangar/monitoring/prometheus.yml", **ROLE))
    jobs = [*shown["scrape_configs"], *shown["alerting"]["alertmanagers"]]
    assert {one["basic_auth"]["password_file"] for one in jobs} == {
        "/srv/monitoring/secrets/scraper_password"
    }
    assert {target for one in jobs for group in one["static_configs"] for target in group["targets"]} == {
        "127.0.0.1:9100", "127.0.0.1:9093", "127.0.0.1:9090",
    }  # fmt: skip
