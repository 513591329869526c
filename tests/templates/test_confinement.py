"""What the services' containers are started with: asked of the files, where no kernel counts memory and processes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from hangar.paths import REPO
from tests.templates.render import render, value

SECRETS = {"airflow": set(value("airflow", "__airflow_mounted_secrets")), "airbyte": set[str]()}


def services() -> list[tuple[str, str, dict[str, Any]]]:
    return [
        (role, name, settings)
        for role in SECRETS
        for name, settings in yaml.safe_load(
            render(role, f"/srv/{role}/stack/compose.yaml", role_path=str(REPO / "roles" / role))
        )["services"].items()
    ]


each_service = pytest.mark.parametrize(
    ("role", "name", "settings"), services(), ids=[f"{role}: {name}" for role, name, _ in services()]
)


def test_the_services_are_found() -> None:
    assert {(role, name) for role, name, _ in services()} >= {
        ("airflow", "postgres"), ("airflow", "prepare"), ("airflow", "scheduler"), ("airflow", "triggerer"),
        ("airbyte", "engine"),
    }  # fmt: skip


@each_service
def test_it_gains_no_rights_and_has_bounds(role: str, name: str, settings: dict[str, Any]) -> None:
    assert settings["read_only"] is True
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert settings["mem_limit"]
    assert 0 < settings["pids_limit"] <= 2000
    assert settings["pull_policy"] == "never", "a registry may have one of that name"
    for name in ("privileged", "cap_add", "devices", "network_mode", "pid", "ipc", "userns_mode", "uts"):
        assert name not in settings


@each_service
def test_it_is_reached_on_loopback_alone(role: str, name: str, settings: dict[str, Any]) -> None:
    assert all(port.startswith("127.0.0.1:") for port in settings.get("ports", ()))


@each_service
def test_it_has_no_secret_in_its_environment_and_no_socket_of_dockers(
    role: str, name: str, settings: dict[str, Any]
) -> None:
    """Secrets are files in memory: what `docker inspect` shows has their paths alone."""
    assert set(settings.get("secrets", ())) <= SECRETS[role]
    told = {name: str(text) for name, text in settings.get("environment", {}).items()}
    wanting = [
        name for name in told if any(word in name for word in ("PASSWORD", "SECRET", "TOKEN", "FERNET"))
    ]
    commands = [name for name in wanting if name.endswith("_CMD")]
    assert wanting == commands
    assert all(told[name].startswith("cat /run/secrets/") for name in commands)
    assert not any(
        "docker.sock" in volume or volume.startswith("/:") for volume in settings.get("volumes", ())
    )
