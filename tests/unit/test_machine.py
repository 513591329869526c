from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import machine, paths
from hangar.config import Config
from hangar.ssh import keys

Make = Callable[..., Config]


def test_the_settings_become_a_specification(make_config: Make) -> None:
    config = make_config("machine.cpus=2", "machine.memory=6GiB", "access.ssh_port=2222", "access.admin=boss")
    spec = machine.spec(config, make_key=True)
    assert (spec.environment, spec.name, spec.admin) == ("local", "hangar-local", "boss")
    assert (spec.cpus, spec.memory_bytes, spec.ssh_port) == (2, 6 * 2**30, 2222)
    assert spec.public_key.startswith("ssh-ed25519 ")
    assert spec.public_key.endswith(" hangar-local")


def test_looking_makes_no_key(make_config: Make) -> None:
    assert machine.spec(make_config(), make_key=False).public_key == ""
    assert not paths.state_dir("local").exists()


def test_a_key_is_made_once(make_config: Make) -> None:
    first = machine.spec(make_config(), make_key=True)
    assert machine.spec(make_config(), make_key=True) == first
    assert machine.spec(make_config(), make_key=False) == first


def test_the_users_own_key_is_used(repo: Path, make_config: Make) -> None:
    line = keys.ensure_key(repo / "key", "me@home")
    config = make_config(f"access.private_key={repo / 'key'}")
    assert machine.private_key(config) == repo / "key"
    assert machine.spec(config, make_key=True).public_key == line
    assert not paths.default_private_key("local").exists()


@pytest.mark.parametrize("port", [8080, 8081])
def test_people_reach_airflow_and_airbyte(make_config: Make, port: int) -> None:
    assert machine.services(make_config(f"airflow.port={port}")) == {
        "airflow": port,
        "airbyte": 8000,
        "monitoring": 9090,
    }


def test_a_service_that_is_not_there_is_not_forwarded(make_config: Make) -> None:
    assert machine.services(make_config("airbyte.enabled=false")) == {"airflow": 8080, "monitoring": 9090}
