"""What abctl is told, and what the filter lets through, as the machine gets them."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from hangar.paths import REPO
from tests.templates.render import render, value

ROLE = "airbyte_abctl"
VOUCHED = {"airbyte_abctl_sha256": "a" * 64}


def values(**options: Any) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(render(ROLE, "/srv/airbyte/abctl/values.yaml", **options))
    return found


def test_the_values_say_what_abctl_leaves_to_chance() -> None:
    found = values(airbyte_abctl_port=8010)["global"]
    assert found["auth"] == {"enabled": True}
    assert found["tracking"] == {"enabled": False, "strategy": "logging"}
    assert found["edition"] == "community"
    assert found["airbyteUrl"] == "http://localhost:8010"
    assert found["jobs"]["resources"]["limits"] == {"cpu": "3", "memory": "4Gi"}
    assert "database" not in found
    assert "postgresql" not in values()


def test_a_postgres_of_ones_own_takes_the_place_of_airbytes() -> None:
    found = values(airbyte_abctl_database={"host": "10.0.0.5", "name": "records"})
    assert found["postgresql"] == {"enabled": False}
    assert found["global"]["database"] == {
        "type": "external", "host": "10.0.0.5", "port": 5432, "name": "records", "user": "airbyte",
        "secretName": "hangar-database", "passwordSecretKey": "password",
    }  # fmt: skip


def test_a_secret_store_is_named_and_its_key_is_not_in_the_values() -> None:
    found = values(airbyte_abctl_google_secrets="acme-data-1")["global"]["secretsManager"]
    assert (found["type"], found["enabled"]) == ("GOOGLE_SECRET_MANAGER", True)
    assert found["googleSecretManager"] == {"projectId": "acme-data-1", "credentialsSecretKey": "gcp.json"}
    assert found["secretName"] == "hangar-google"


def test_values_of_ones_own_are_stronger_and_the_log_in_stays_on(tmp_path: Path) -> None:
    mine = tmp_path / "values.yaml"
    mine.write_text("global: {jobs: {resources: {limits: {memory: 8Gi}}}}\nworker: {replicaCount: 2}\n")
    found = values(airbyte_abctl_values=str(mine))
    assert found["global"]["jobs"]["resources"]["limits"] == {"cpu": "3", "memory": "8Gi"}
    assert found["worker"] == {"replicaCount": 2}
    assert found["global"]["auth"] == {"enabled": True}
    mine.write_text("global: {auth: {enabled: false}}\n")
    (said,) = value(ROLE, "__airbyte_abctl_wrong", airbyte_abctl_values=str(mine), **VOUCHED)
    assert said == "airbyte_abctl_values switches the log-in off (global.auth.enabled), which stays on"


@pytest.mark.parametrize("content", ["", "# nothing yet"])
def test_a_file_of_values_in_which_nothing_stands_changes_nothing(tmp_path: Path, content: str) -> None:
    mine = tmp_path / "values.yaml"
    mine.write_text(content)
    assert values(airbyte_abctl_values=str(mine)) == values()


@pytest.mark.parametrize("tracking", ["{enabled: true}", "{strategy: segment}", "null"])
def test_telemetry_stays_off_whatever_values_one_has(tmp_path: Path, tracking: str) -> None:
    mine = tmp_path / "values.yaml"
    mine.write_text(f"global: {{tracking: {tracking}}}\n")
    (said,) = value(ROLE, "__airbyte_abctl_wrong", airbyte_abctl_values=str(mine), **VOUCHED)
    assert (
        said == "airbyte_abctl_values sends what Airbyte does to its maker (global.tracking), which stays off"
    )


def call(**options: Any) -> list[str]:
    """The command that the installation's unit runs."""
    text = render(ROLE, "/srv/airbyte/abctl/install", **options).replace("\\\n", " ")
    return shlex.split(text.strip().partition("exec ")[2])


def test_abctl_is_called_with_everything_that_has_a_bad_default() -> None:
    assert call() == [
        "/srv/airbyte/abctl/inside", "local", "install", "--no-browser", "--chart-version", "2.4.0", "--port", "8000",
        "--values", "/srv/airbyte/abctl/values.yaml",
    ]  # fmt: skip
    assert call(airbyte_abctl_low_resource=True, airbyte_abctl_database={"host": "x"})[-3:] == [
        "--low-resource-mode", "--secret", "/srv/airbyte/secrets/hangar-database.json",
    ]  # fmt: skip


def test_abctl_runs_in_the_namespaces_of_its_users_docker_and_tells_nobody() -> None:
    text = render(ROLE, "/srv/airbyte/abctl/inside", **VOUCHED)
    assert "DO_NOT_TRACK=1" in text
    assert "nsenter --user --preserve-credentials --mount --net" in text
    assert f"/srv/airbyte/abctl/bin/{'a' * 16}/abctl" in text


def test_what_is_described_changes_with_what_is_told_to_helm_and_nothing_else() -> None:
    def described(**options: Any) -> dict[str, Any]:
        return dict(json.loads(render(ROLE, "/srv/airbyte/abctl/wanted.json", **VOUCHED, **options)))

    usual = described()
    assert (usual["chart"], usual["port"], usual["low_resource"]) == ("2.4.0", 8000, False)
    assert described(airbyte_abctl_filter_port=9001) == usual
    assert described(airbyte_abctl_job_memory="8Gi")["values"] != usual["values"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"airbyte_abctl_sha256": ""}, "no program is run that nobody vouched for"),
        ({"airbyte_abctl_sha256": "abc"}, "abctl_0.30.4_checksums.txt"),
        ({"airbyte_abctl_chart": "2.3.9"}, "below 2.4 one workspace can read another's"),
        ({"airbyte_abctl_chart": "latest"}, "airbyte_abctl_chart is latest"),
        ({"airbyte_abctl_filter_port": 8000}, "airbyte_abctl_filter_port is Airbyte's own port"),
        ({"airbyte_abctl_filter_uid": 2001}, "airbyte_abctl_filter_uid: 2001 is no number from 100 to 999"),
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused(options: dict[str, Any], said: str) -> None:
    (found,) = value(ROLE, "__airbyte_abctl_wrong", **{**VOUCHED, **options})
    assert said in found
    assert value(ROLE, "__airbyte_abctl_wrong", **VOUCHED) == []


def refused(*lines: str) -> list[str]:
    told = {"stdout_lines": ["architecture amd64", *lines]}
    return list(value(ROLE, "__airbyte_abctl_refused", __airbyte_abctl_machine=told, **VOUCHED))


LARGE = ("cpus 4", "memory 19500000", "disk 62914560")


def test_a_machine_that_is_too_small_is_refused_with_its_figures() -> None:
    assert refused(*LARGE) == []
    for smaller in (
        ("cpus 2", *LARGE[1:]),
        (LARGE[0], "memory 16000000", LARGE[2]),
        (*LARGE[:2], "disk 30000000"),
    ):
        assert len(refused(*smaller)) == 1
    assert refused("cpus 2", "memory 8000000", "disk 31457280") == [
        "The machine has 2 CPUs, 7.6 GiB of memory and 30.0 GiB free under /srv; Airbyte's platform beside Airflow"
        " needs 4, 19 and 40. Take a larger machine, or airbyte.engine: embedded"
    ]
    # Its own images have taken the room since.
    assert refused(*LARGE[:2], "disk 9000000", "installed yes") == []
    # So have those of an installation that runs, which the next call joins, or that was interrupted.
    assert refused(*LARGE[:2], "disk 30000000", "begun yes", "taken yes") == []


def test_a_machine_that_is_not_free_is_refused() -> None:
    (embedded,) = refused(*LARGE, "embedded yes")
    assert embedded.startswith("The embedded engine stands on this machine")
    assert refused(*LARGE, "taken yes") == [
        "Port 8000 is taken by something else; choose another (airbyte.port)"
    ]
    assert refused(*LARGE, "taken yes", "installed yes") == []


def test_airflow_is_sent_to_the_filter_and_the_firewall_knows() -> None:
    platform = {"airbyte_engine": "abctl"}
    rules = value("firewall", "firewall_loopback_rules", **platform)
    assert [rule["port"] for rule in rules if rule["user"] == "airflow"] == [8080, 9125, 8001, 5432]
    assert {"user": "airbyte-filter", "port": 8001} in value("firewall", "firewall_service_ports", **platform)
    assert 8001 not in value("firewall", "firewall_published_ports", **platform)
    # The firewall keeps accounts that it does not know from every service's port, the filter's too.
    assert [rule["port"] for rule in rules if rule["user"] == "airbyte-filter"] == [8000]
    known = {user["name"]: user["uid"] for user in value("firewall", "firewall_service_users", **platform)}
    assert known["airbyte-filter"] == 702
    assert "u airbyte-filter 702 " in render(ROLE, "/etc/sysusers.d/hangar-airbyte-filter.conf")
    assert "User=airbyte-filter\n" in render(ROLE, "/etc/systemd/system/airbyte-filter.service")
    usual = value("firewall", "firewall_service_users")
    assert "airbyte-filter" not in {user["name"] for user in usual}
    host = value("airflow", "airflow_platform_connections", **platform)["airbyte_default"]["host"]
    assert host == "http://host.docker.internal:8001/api/public/v1"
    host = value("airflow", "airflow_platform_connections")["airbyte_default"]["host"]
    assert host == "http://host.docker.internal:8000/api/public/v1"


def test_the_platforms_jobs_are_watched_and_waited_for() -> None:
    """As the embedded engine's are: a window ends nobody's sync. Its images are its own, Hangar makes none."""
    platform = {"airbyte_engine": "abctl"}
    watched = value("monitoring", "monitoring_services", **platform)["airbyte"]
    assert watched == {"port": 8000, "credentials": "/srv/airbyte/secrets"}
    clients = value(ROLE, "airbyte_abctl_clients")
    assert clients["operator"]["folder"] == watched["credentials"]
    described = value("maintenance", "__maintenance_described", **platform)
    assert (described["airbyte"], described["services"]) == (True, ["airflow"])
    assert value("maintenance", "__maintenance_described")["services"] == ["airflow", "airbyte"]
    off = value("maintenance", "__maintenance_described", airbyte_enabled=False)
    assert (off["airbyte"], off["services"]) == (False, ["airflow"])


def test_pipelines_reach_the_platform_itself_and_its_check_of_destinations() -> None:
    found = json.loads(render(ROLE, "/etc/hangar/airbyte.json", airbyte_abctl_port=9000))
    assert found["url"] == "http://127.0.0.1:9000/api/public/v1"
    assert found["configuration_url"] == "http://127.0.0.1:9000/api/v1"
    assert "configuration_url" not in json.loads(render("airbyte", "/etc/hangar/airbyte.json"))


def test_the_filter_listens_on_loopback_and_names_what_it_admits() -> None:
    text = render(
        ROLE, "/etc/hangar/airbyte-filter.cfg", airbyte_abctl_filter_port=9001, airbyte_abctl_port=9000
    )
    assert re.findall(r"^    bind (.*)$", text, re.M) == ["127.0.0.1:9001"]
    assert re.findall(r"^    server airbyte (.*)$", text, re.M) == ["127.0.0.1:9000"]
    assert re.findall(r"set-header Host (.*)$", text, re.M) == ["localhost:9000"]
    (rule,) = re.findall(r" unless (.*)$", text, re.M)
    assert rule.split(" or ") == [
        "{ method GET HEAD } read", "{ method POST } token small", "{ method POST } reason small",
        "{ method POST } jobs small", "{ method DELETE } job",
    ]  # fmt: skip


def test_what_was_taken_away_can_be_taken_away_again() -> None:
    """`purged` after `absent`: no step needs a unit that the earlier one removed"""
    steps = yaml.safe_load((REPO / "roles/airbyte_abctl/tasks/absent.yml").read_text())
    gone = {Path(path).name for path in value(ROLE, "__airbyte_abctl_files")}
    assert "airbyte-filter.service" in gone
    assert [step["name"] for step in steps if "ansible.builtin.systemd_service" in step] == []
    stops = [step["ansible.builtin.command"]["argv"] for step in steps if "ansible.builtin.command" in step]
    named = [words[2:] for words in stops if isinstance(words, list) and words[0] == "systemctl"]
    # systemctl fails at a name that it does not know, and not at a pattern that fits nothing.
    assert named == [["airbyte-filter.service*"]]
