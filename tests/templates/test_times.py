"""Limits that have to fit each other: whoever waits does so for longer than what is waited for may take.

An emulated processor (docs/virtual-machine.md) takes eight times as long as one of its own; a limit that ends first
makes a failure of what is only slow.
"""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
from configparser import ConfigParser
from typing import Any

import pytest
import yaml

from hangar.airbyte.remote.api import SLOW
from hangar.cloud.vm.request import STOP_TIMEOUT
from hangar.paths import REPO
from hangar.releases import TIMEOUT
from tests.templates.render import render

EMULATED = 8
STARTS = {"airflow": 41, "airbyte": 6}
"""Seconds until all of a stack is healthy, on two cores of their own."""

UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600}


def seconds(text: str) -> int:
    found = re.fullmatch(r"(\d+) ?([a-z]+)", text)
    assert found, text
    return int(found[1]) * UNITS[found[2]]


def unit(path: str, setting: str) -> int:
    text = render(path.split("/")[-1].removesuffix(".service"), path)
    return seconds(re.findall(rf"^{setting}=(.+)$", text, re.MULTILINE)[-1])


def stack(role: str, **options: Any) -> dict[str, Any]:
    where = {"role_path": str(REPO / "roles" / role)}
    found = yaml.safe_load(render(role, f"/srv/{role}/stack/compose.yaml", **where, **options))["services"]
    return {name: one["healthcheck"] for name, one in found.items() if "healthcheck" in one}


def settings(**overrides: Any) -> ConfigParser:
    found = ConfigParser(interpolation=None)
    found.read_string(render("airflow", "/srv/airflow/stack/config/airflow.cfg", **overrides))
    return found


@pytest.mark.parametrize("role", STARTS)
def test_a_slow_start_is_no_failed_one(role: str) -> None:
    checks = stack(role)
    assert checks
    for name, check in checks.items():
        assert seconds(check["start_period"]) > EMULATED * STARTS[role], name
        assert seconds(check["start_period"]) < unit(
            f"/etc/systemd/user/{role}.service", "TimeoutStartSec"
        ), name


@pytest.mark.parametrize("role", STARTS)
def test_health_is_looked_at_as_often_as_the_role_is_told(role: str) -> None:
    for name, check in stack(role).items():
        assert seconds(check["start_interval"]) <= 3 < seconds(check["interval"]) == 30, name
    told = {f"{role}_health_start_interval": 60, f"{role}_health_interval": 120}
    for name, check in stack(role, **told).items():
        assert (seconds(check["start_interval"]), seconds(check["interval"])) == (60, 120), name


@pytest.mark.parametrize("role", STARTS)
def test_a_look_at_the_health_gives_up_before_it_is_killed(role: str) -> None:
    """Docker says of one that it killed that it took too long, and of the other what was wrong."""
    program = render("airflow", "/srv/airflow/stack/bin/answers.py")
    for name, check in stack(role).items():
        told = re.search(r"timeout=(\d+)", " ".join(check["test"])) if role == "airbyte" else None
        answer = told or re.search(r"^SECONDS = (\d+)$", program, re.MULTILINE)
        assert answer
        pause = 0 if told else max(pauses())
        assert int(answer[1]) + pause < seconds(check["timeout"]), name


def pauses() -> list[int]:
    """Seconds that a look at Airflow in vain stays at most, so that the next one comes later."""
    found = []
    for name in ("answers", "health"):
        program = render("airflow", f"/srv/airflow/stack/bin/{name}.py")
        (most,) = re.findall(r"time\.sleep\(min\((\d+), 8 \* time\.process_time\(\)\)\)", program)
        found.append(int(most))
    return found


@pytest.mark.parametrize(("used", "least"), [(0.0, 0.0), (0.25, 2.0)])
def test_a_look_in_vain_stays_longer_where_a_look_is_dear(used: float, least: float) -> None:
    """On an emulated processor four looks at a time, each a Python anew, would keep Airflow from starting."""
    program = render("airflow", "/srv/airflow/stack/bin/answers.py")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"
        begun = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-c", f"import time\ntime.process_time = lambda: {used}\n{program}", url],
            capture_output=True, text=True,
        )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, f"{url}: <urlopen error [Errno 111] Connection refused>\n")
    assert time.monotonic() - begun > least


def test_dags_have_the_same_time_when_they_are_released_and_when_airflow_reads_them() -> None:
    here = settings()
    most = here.getint("core", "dagbag_import_timeout")
    program = render("airflow", "/usr/local/sbin/airflow-release", __airflow_image="the-image")
    assert f'"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "{most}",\n        **ENVIRONMENT,' in program
    # An import that takes too long is told to its author; a process that is ended tells nobody.
    assert most < here.getint("dag_processor", "dag_file_processor_timeout")
    checked = re.findall(r"^CHECK_SECONDS = (.+)$", program, re.MULTILINE)
    assert [most < float(one) < TIMEOUT for one in checked] == [True]


def test_a_task_waits_longer_for_its_api_server_than_a_slow_answer_takes() -> None:
    assert settings().getint("workers", "execution_api_timeout") > 5


def test_a_connectors_first_answer_may_follow_its_installation() -> None:
    text = (REPO / "services/airbyte_embedded/airbyte_embedded/settings.py").read_text()
    limits = dict(re.findall(r"^    (\w+_seconds): float = ([\d.]+)", text, re.MULTILINE))
    assert float(limits["install_seconds"]) + float(limits["check_seconds"]) < SLOW, json.dumps(limits)


def test_a_virtual_machine_may_stop_its_services_in_order() -> None:
    """The databases come after the containers that use them; a machine that is cut off loses what they hold."""
    containers = max(unit(f"/etc/systemd/user/{role}.service", "TimeoutStopSec") for role in STARTS)
    assert containers + unit("/etc/systemd/system/warehouse.service", "TimeoutStopSec") < STOP_TIMEOUT
    guide = (REPO / "docs/virtual-machine.md").read_text()
    assert STOP_TIMEOUT == 600
    assert "shuts this one down in order (ten minutes at most)" in guide
