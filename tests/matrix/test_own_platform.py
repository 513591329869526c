"""A user's own platform: packages, programs, plugins, variables and connections, through platform.yml alone."""

from __future__ import annotations

import hashlib
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.e2e.airflow import Airflow
from tests.e2e.conftest import Checkout

OWN = Path(__file__).resolve().parents[1] / "data" / "own_platform"
DAG = "/srv/airflow/dags/own_platform.py"


def settings() -> dict[str, object]:
    return {
        "python_lock": "own/extra.lock",
        "tools": {"humanizer": "own/extra.lock"},
        "debian_packages": ["tree"],
        "plugins": "own/plugins",
        "environment": {"OWN_VARIABLE": "50% of $HOME"},
        "connections": {
            "erp": {"conn_type": "postgres", "host": "erp.example.com", "login": "reader",
                    "password": {"secret": "erp_password"}},
        },
        "variables": {"region": "europe-west1", "limits": {"rows": 5, "token": {"secret": "erp_password"}}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def platform(machine: Checkout) -> Iterator[Checkout]:
    """The machine with its platform.yml changed; the next `up` or `upgrade` takes it back."""
    file = machine.platform
    before = file.read_text()
    shutil.copytree(OWN, file.parent / "own")
    changed = yaml.safe_load(before)
    changed["airflow"] = {**(changed.get("airflow") or {}), **settings()}
    file.write_text(yaml.safe_dump(changed))
    yield machine
    machine.ssh(f"rm -f {DAG}")
    file.write_text(before)
    shutil.rmtree(file.parent / "own")


def pipe(machine: Checkout, text: str, *command: str) -> None:
    """`./provision.py ssh ENV COMMAND` with something on its standard input."""
    subprocess.run(
        ["./provision.py", "ssh", machine.environment, *command],
        cwd=machine.path, input=text, text=True, capture_output=True, check=True, timeout=60,
    )  # fmt: skip


def test_a_connection_whose_secret_is_not_there_is_refused(platform: Checkout) -> None:
    done = platform.hangar("up", "--yes", check=False)
    assert done.returncode == 1
    said = done.stdout + done.stderr
    assert (
        "airflow_connections.erp.password names the secret 'erp_password', which is not on the machine"
        in said
    )
    assert "sudo airflow-secrets set erp_password" in said


def test_a_dag_finds_all_that_platform_yml_adds(platform: Checkout) -> None:
    password = secrets.token_urlsafe(24)
    pipe(platform, password, "sudo", "airflow-secrets", "set", "erp_password")
    platform.hangar("up", "--yes")
    pipe(platform, (OWN / "own_platform.py").read_text(), f"cat > {DAG}")
    airflow = Airflow.of(platform)
    airflow.wait_for_dag("own_platform")
    run = airflow.run("own_platform")
    assert run["state"] == "success"
    task = f"/api/v2/dags/own_platform/dagRuns/{run['dag_run_id']}/taskInstances/use"
    said = airflow.call("GET", f"{task}/xcomEntries/return_value")["value"]
    assert said.strip('"') == hashlib.sha256(password.encode()).hexdigest()
    assert "greeting" in [plugin["name"] for plugin in airflow.call("GET", "/api/v2/plugins")["plugins"]]


def test_the_connections_password_stands_in_no_container_and_no_journal(platform: Checkout) -> None:
    password = platform.ssh("sudo cat /srv/airflow/secrets/erp_password").stdout.strip()
    assert len(password) > 20
    docker = "docker -H unix:///run/user/$(id -u)/docker.sock"
    told = platform.ssh(f"cd / && sudo -u airflow sh -c '{docker} ps -aq | xargs {docker} inspect'").stdout
    told += platform.ssh("sudo journalctl --no-pager -o cat").stdout
    assert "/srv/airflow/plugins" in told
    assert password not in told


def test_a_second_up_with_it_changes_nothing(platform: Checkout) -> None:
    platform.hangar("up", "--yes")
    assert platform.changed() == []
