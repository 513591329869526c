import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar.commands.status import _of_backups
from hangar.config import Config
from hangar.status import ServiceState, read, script

Make = Callable[..., Config]

ANSWER = """
# cpu
cpu  100 0 50 800 50 0 0 0 0 0
# cpu
cpu  160 0 70 900 70 0 0 0 0 0
# memory
MemTotal:       16384 kB
MemAvailable:    4096 kB
# disk
Filesystem     1024-blocks     Used Available Capacity Mounted on
overlay          106442448 20000000  80000000      20% /
/dev/sda1             1000      900        50      95% /srv
# uptime
10000.50 300.00
9000000000
# units
firewall active
monitoring inactive
ssh active
# containers airflow
postgres	running	Up 2 minutes (healthy)
scheduler	running	Up 2 minutes (unhealthy)
triggerer	running	Up 5 seconds (health: starting)
migrate	exited	Exited (0) 2 minutes ago
api-server	exited	Exited (1) 2 minutes ago
other	running	Up 2 minutes
"""


def test_the_machines_answer_is_read() -> None:
    health = read(ANSWER)
    assert health.uptime == pytest.approx(1000.5)
    assert health.cpu.percent == 40.0
    assert (health.memory.percent, health.memory.total) == (75.0, 16384 * 1024)
    assert {place: usage.percent for place, usage in health.disks.items()} == {"/": 20.0, "/srv": 94.7}


def test_services_are_well_or_not() -> None:
    assert read(ANSWER).services == (
        ServiceState("firewall", "active", True),
        ServiceState("monitoring", "inactive", False),
        ServiceState("ssh", "active", True),
        ServiceState("airflow/postgres", "healthy", True),
        ServiceState("airflow/scheduler", "unhealthy", False),
        ServiceState("airflow/triggerer", "starting", True),
        ServiceState("airflow/migrate", "done", True),
        ServiceState("airflow/api-server", "exited", False),
        ServiceState("airflow/other", "running", True),
    )


def test_warnings_past_the_thresholds(make_config: Make) -> None:
    config = make_config("monitoring.warn={cpu: 40, memory: 74, disk: 90}")
    assert read(ANSWER).warnings(config) == [
        "memory: 75.0 % used, more than 74 %",
        "disk /srv: 94.7 % used, more than 90 %",
        "monitoring is inactive",
        "airflow/scheduler is unhealthy",
        "airflow/api-server is exited",
    ]


def test_a_stack_that_is_not_there_is_not_well() -> None:
    services = read(ANSWER.split("postgres\t")[0]).services
    assert services[-1] == ServiceState("airflow", "not running", False)


def test_a_program_gets_numbers() -> None:
    data = read(ANSWER).as_data()
    assert data["cpu"] == {"used_percent": 40.0}
    assert data["memory"]["used_percent"] == 75.0
    assert data["disks"]["/srv"]["used_percent"] == 94.7
    assert data["services"][0] == {"name": "firewall", "state": "active", "well": True}


def test_the_script_is_shell_and_asks_the_service_users_daemon(make_config: Make) -> None:
    text = script(make_config("users.airflow.uid=2005"))
    subprocess.run(["sh", "-n"], input=text, text=True, check=True)
    assert "sudo -u airflow env DOCKER_HOST=unix:///run/user/2005/docker.sock docker ps --all" in text
    assert "for unit in firewall=hangar-firewall.service monitoring=prometheus.service" in text


def test_what_a_services_docker_answers_ends_no_look_and_begins_no_part(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the service user's own, and so is what answers at its socket."""
    (tmp_path / "sudo").write_text(
        "#!/bin/sh\nprintf 'scheduler\\n# units\\nwarehouse failed\\na\\tb\\tc\\td\\n'\n"
    )
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    (asked,) = [
        line for line in script(make_config()).splitlines() if line.startswith("echo '# containers airflow'")
    ]
    said = subprocess.run(["sh", "-c", asked], capture_output=True, text=True, check=True).stdout
    health = read(ANSWER.partition("# containers")[0] + said)
    assert ServiceState("ssh", "active", True) in health.services
    strange = ServiceState("airflow", "its Docker answers otherwise than it should", False)
    assert set(health.services[3:]) == {strange}
    assert f"airflow is {strange.state}" in health.warnings(make_config())


@pytest.mark.parametrize(
    ("service", "mark"), [("airbyte", "# containers airbyte"), ("warehouse", "warehouse=")]
)
def test_a_service_that_is_switched_off_is_not_asked_for(make_config: Make, service: str, mark: str) -> None:
    assert mark in script(make_config())
    assert mark not in script(make_config(f"{service}.enabled=false"))


def test_airbytes_platform_is_one_container_and_a_filter(make_config: Make) -> None:
    text = script(make_config("airbyte.engine=abctl", f"airbyte.abctl.sha256={'a' * 64}"))
    assert "docker ps --all --filter label=io.x-k8s.kind.cluster=airbyte-abctl --format '{{.Names}}" in text
    assert "airbyte-filter=airbyte-filter.service" in text
    assert "airbyte-filter" not in script(make_config())


def test_the_monitoring_is_part_of_the_answer_where_there_is_one(make_config: Make) -> None:
    said = '{"alerts": [], "figures": {"load": [{"labels": {}, "value": 1.5}]}}'
    health = read(f"{ANSWER}# monitoring\n{said}\n")
    assert health.watched is not None
    assert health.watched.figure("load") == 1.5
    assert health.as_data()["alerts"] == []
    assert read(ANSWER).as_data()["alerts"] is None


def test_a_monitoring_that_does_not_answer_is_a_warning_and_not_the_end(make_config: Make) -> None:
    health = read(f"{ANSWER}# monitoring\nmonitoring: http://127.0.0.1:9090 does not answer\n")
    assert health.memory.percent == 75.0
    assert health.warnings(make_config())[-1] == (
        "the monitoring does not answer: monitoring: http://127.0.0.1:9090 does not answer"
    )


@pytest.mark.parametrize(("age", "warned"), [("", False), ('{"labels": {}, "value": 60}', True)])
def test_a_good_backup_that_has_not_left_the_machine_is_a_warning(
    age: str, warned: bool, make_config: Make
) -> None:
    """Where none was ever made, the machine's own alert tells in time."""
    health = read(f'{ANSWER}# monitoring\n{{"alerts": [], "figures": {{"backup_age": [{age}]}}}}\n')
    found = _of_backups(health, make_config())
    assert [one.split(",")[0] for one in found] == ["the newest backups are on the machine alone"] * warned
