"""Which secrets people give, where Secret Manager has them, and what the machine is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from hangar import cli, given, inventory, paths
from hangar.config import Config
from hangar.errors import HangarError
from hangar.ssh import keys
from tests.unit.fakes import SERVER

Make = Callable[..., Config]
REAL = Path(__file__).resolve().parents[2]
GCP = ("cloud=gcp", "gcp.project=acme-data-1", "gcp.zone=europe-west6-a")
ELSEWHERE = (*GCP, "secrets.source=secret_manager")
NAMED = (
    "airflow.connections={erp: {conn_type: http, password: {secret: erp}, extra: {deep: [{secret: deep}]}}}",
    "airflow.variables={region: eu, token: {secret: erp}}",
    "monitoring.alerts={team: {kind: slack, secret: slack}}",
)


@pytest.fixture
def pipelines(repo: Path) -> None:
    """Some that name a secret of a person's, and one of the machine's."""
    (repo / "pipelines").mkdir()
    (repo / "pipelines/airbyte.yml").write_text(
        "sources: {shop: {connector: postgres, configuration: {password: {secret: shop}}}}\n"
        "destinations: {lake: {connector: postgres, configuration: {password: {secret: warehouse_airbyte}}}}\n"
    )


def hosts(config: Config) -> dict[str, object]:
    paths.ensure_state_dir("local")
    key = paths.default_private_key("local")
    keys.ensure_key(key, "hangar-local")
    text = inventory.render(replace(SERVER, environment="local"), config, key)
    found: dict[str, object] = next(iter(yaml.safe_load(text)["all"]["hosts"].values()))
    return found


def test_every_secret_that_is_named_is_given_with_who_may_read_it(pipelines: None, make_config: Make) -> None:
    found = given.given(make_config(*ELSEWHERE, *NAMED))
    assert {one.name: (one.secret, one.version, one.group) for one in found} == {
        "deep": ("hangar-local-deep", "latest", "root"),
        "erp": ("hangar-local-erp", "latest", "root"),
        "shop": ("hangar-local-shop", "latest", "root"),
        "slack": ("hangar-local-slack", "latest", "monitoring"),
    }
    assert {one.project for one in found} == {"acme-data-1"}
    erp = next(one for one in found if one.name == "erp")
    assert erp.used == ("airflow.connections.erp.password", "airflow.variables.token")
    assert erp.resource == "projects/acme-data-1/secrets/hangar-local-erp"


def test_another_project_another_prefix_and_one_version(make_config: Make) -> None:
    found = given.given(make_config(
        *ELSEWHERE, *NAMED, "secrets.project=acme-secrets", "secrets.prefix=''",
        "secrets.named={erp: projects/acme-erp-1/secrets/reader/versions/4}",
    ))  # fmt: skip
    assert [(one.resource, one.version) for one in found] == [
        ("projects/acme-secrets/secrets/deep", "latest"),
        ("projects/acme-erp-1/secrets/reader", "4"),
        ("projects/acme-secrets/secrets/slack", "latest"),
    ]


def test_where_the_machine_keeps_them_none_is_given(pipelines: None, make_config: Make) -> None:
    config = make_config(*GCP, *NAMED)
    assert given.given(config) == ()
    told = hosts(config)
    assert told["secret_manager_secrets"] == {}
    assert told["airflow_variables"] == {"region": "eu", "token": {"secret": "erp"}}
    assert "secret_manager_secrets" not in hosts(make_config(*NAMED))


def test_the_machine_is_told_files_in_memory_in_place_of_names(pipelines: None, make_config: Make) -> None:
    told = hosts(make_config(*ELSEWHERE, *NAMED))
    assert told["airflow_connections"] == {
        "erp": {
            "conn_type": "http", "password": {"secret": "/run/hangar-secrets/erp"},
            "extra": {"deep": [{"secret": "/run/hangar-secrets/deep"}]},
        }
    }  # fmt: skip
    assert told["airflow_variables"] == {"region": "eu", "token": {"secret": "/run/hangar-secrets/erp"}}
    assert told["monitoring_receivers"]["team"]["secret"] == "/run/hangar-secrets/slack"  # type: ignore[index]
    secrets = told["secret_manager_secrets"]
    assert isinstance(secrets, dict)
    assert {name for name, one in secrets.items() if one["pipelines"]} == {"shop"}
    assert secrets["erp"] == {
        "secret": "projects/acme-data-1/secrets/hangar-local-erp", "version": "latest", "group": "root",
        "pipelines": False,
    }  # fmt: skip
    assert told["secret_manager_endpoint"] == "https://secretmanager.googleapis.com"


def test_the_machines_token_goes_to_no_host_that_nobody_allowed(
    make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = "gcp.api_endpoint='https://{api}.gateway.example.org'"
    assert "secret_manager_endpoint" not in hosts(make_config(*GCP, gateway, *NAMED))  # nothing goes there
    config = make_config(*ELSEWHERE, gateway, *NAMED)
    with pytest.raises(HangarError, match="Your Google credentials would go to"):
        hosts(config)
    monkeypatch.setenv("HANGAR_ALLOW_API_HOST", "secretmanager.gateway.example.org")
    assert hosts(config)["secret_manager_endpoint"] == "https://secretmanager.gateway.example.org"


def test_a_secret_is_not_put_where_nobody_would_look(
    make_config: Make, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.platform_file("local").write_text(
        "cloud: gcp\ngcp: {project: acme-data-1, zone: europe-west6-a}\nsecrets: {source: secret_manager}\n"
    )
    assert cli.main(["pipelines", "secret", "local", "--name", "shop"]) == 1
    said = capsys.readouterr().err
    assert "local has its secrets in Google Secret Manager (secrets.source), not on the machine." in said
    assert "shop is projects/acme-data-1/secrets/hangar-local-shop" in said
    assert "gcloud secrets versions add hangar-local-shop --project acme-data-1 --data-file FILE" in said


def test_rotate_says_who_changes_what_secret_manager_has(
    make_config: Make, repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.platform_file("local").write_text(
        "cloud: gcp\ngcp: {project: acme-data-1, zone: europe-west6-a}\nsecrets: {source: secret_manager}\n"
        "airflow: {variables: {token: {secret: erp}}}\n"
    )
    assert cli.main(["rotate", "erp", "local"]) == 1
    said = capsys.readouterr().err
    assert "erp is projects/acme-data-1/secrets/hangar-local-erp" in said
    assert "The machine picks it up within 15 minutes" in said
    assert cli.main(["rotate", "--list", "local"]) == 0
    shown = capsys.readouterr()
    assert "projects/acme-data-1/secrets/hangar-local-erp" in shown.out + shown.err
    assert "airflow-fernet" in shown.out + shown.err


def test_the_machine_made_what_the_playbooks_say_that_it_made() -> None:
    text = (REAL / "playbooks/group_vars/all/main.yml").read_text()
    assert all(f"{{'{name}': '/srv/" in text for name in given.MADE_THERE)
    assert f"'{given.FOLDER}/' ~ name" in text
    assert (
        f"__secret_manager_folder: {given.FOLDER}\n"
        in (REAL / "roles/secret_manager/vars/main.yml").read_text()
    )
