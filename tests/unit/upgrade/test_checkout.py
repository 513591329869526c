"""What this checkout brings, read from the roles as Ansible reads them."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import inventory, paths
from hangar.config import Config
from hangar.upgrade import checkout, pins
from hangar.upgrade.remote.prints import prints
from tests.templates.render import render
from tests.unit.fakes import SERVER

Make = Callable[..., Config]


@pytest.fixture
def written(make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Settings with their hosts.yml; what a role brings is the repository's own."""

    def make(*overrides: str) -> Config:
        monkeypatch.setattr(paths, "REPO", tmp_path)
        config = make_config(*overrides)
        (tmp_path / "key.pub").write_text(
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEVuZC5vZi50aGUubGluZS5ub2JvZHkuaGFzLml0Li4u\n"
        )
        text = inventory.render(SERVER, config, tmp_path / "key")
        place = tmp_path / f"hosts-{len(list(tmp_path.glob('hosts-*')))}.yml"
        place.write_text(text)
        monkeypatch.setattr(paths, "REPO", Path(__file__).resolve().parents[3])
        monkeypatch.setattr(paths, "hosts_file", lambda env: place)
        return config

    return make


def test_the_locks_of_every_image(written: Callable[..., Config]) -> None:
    found = checkout.wanted(written("airbyte.engine=embedded"), "")
    assert set(found.locks["airflow"]) == {"/opt/airflow/venv", "/opt/dbt", "/opt/dlt"}
    assert set(found.locks["airbyte"]) == {"/opt/airbyte/service", "/opt/airbyte/worker"}
    (lock,) = found.locks["airflow"]["/opt/airflow/venv"]
    assert lock.name == "roles/airflow/files/requirements.lock"
    assert "apache-airflow" in pins.read(lock.text)
    assert found.suites == {"airflow": "trixie", "airbyte": "bookworm"}
    assert found.postgres == {"airflow": "17", "warehouse": "17"}
    assert {"docker.io", "containerd", "runc"} <= set(found.docker)
    assert found.relation == "unknown"


PLATFORM = ("airbyte.engine=abctl", f"airbyte.abctl.sha256={'a' * 64}", "gcp.data_disk.size_gb=100")


def test_the_settings_of_airbytes_platform_as_the_role_works_them_out(
    written: Callable[..., Config], tmp_path: Path
) -> None:
    """What the machine has on record is what the role gave it: the same settings have the same prints."""
    usual = checkout.wanted(written(*PLATFORM), "")
    assert usual.platform
    assert usual.platform.settings
    described = json.loads(
        render("airbyte_abctl", "/srv/airbyte/abctl/wanted.json", airbyte_abctl_sha256="a" * 64)
    )
    assert usual.platform.settings == prints(described["helm"])
    assert (usual.chart, usual.platform.values) == (described["chart"], described["values"])
    mine = tmp_path / "inventory/local/values.yaml"
    mine.write_text("global: {storage: {key: hunter2}, jobs: {resources: {limits: {memory: 8Gi}}}}\n")
    other = checkout.wanted(written(*PLATFORM, f"airbyte.abctl.values={mine}"), "")
    assert other.platform
    assert other.platform.settings
    differing = {name for name in other.platform.settings
                 if other.platform.settings[name] != usual.platform.settings.get(name)}  # fmt: skip
    assert differing == {"global.storage.key", "global.jobs.resources.limits.memory"}
    assert checkout.wanted(written("airbyte.engine=embedded"), "").platform is None


def test_a_machine_without_airbyte_and_warehouse(written: Callable[..., Config]) -> None:
    found = checkout.wanted(written("airbyte.enabled=false", "warehouse.enabled=false"), "")
    assert set(found.locks) == {"airflow"}
    assert (found.postgres, found.chart) == ({"airflow": "17"}, "")
