import argparse
from pathlib import Path

import pytest

from hangar import config, paths
from hangar.commands import init
from hangar.errors import ConfigError, HangarError


def arguments(environment: str, *, json: bool = False, cloud: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(environment=environment, json=json, cloud=cloud)


def test_a_new_environment_gets_a_commented_file(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert init.run(arguments("sandbox")) == 0
    assert config.load("sandbox").environment == "sandbox"
    assert capsys.readouterr().out == (
        "Wrote inventory/sandbox/platform.yml: every setting with its default.\nNext: ./provision.py plan sandbox\n"
    )


def test_what_is_there_stays(repo: Path) -> None:
    paths.platform_file("local").write_text("cloud: container\n")
    with pytest.raises(HangarError) as refused:
        init.run(arguments("local"))
    assert refused.value.brief == "inventory/local/platform.yml is there already."
    assert paths.platform_file("local").read_text() == "cloud: container\n"


def test_a_name_that_is_no_folder_is_refused(repo: Path) -> None:
    with pytest.raises(ConfigError):
        init.run(arguments("../elsewhere"))


def test_production_is_made_for_google_cloud(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    init.run(arguments("production"))
    assert "Fill in gcp.project and gcp.zone" in capsys.readouterr().out
    with pytest.raises(ConfigError) as incomplete:
        config.load("production")
    assert [problem.path for problem in incomplete.value.problems] == ["gcp.project", "gcp.zone"]
    settings = config.load("production", ["gcp.project=acme-data-1", "gcp.zone=europe-west6-a"])
    assert (settings.cloud, settings.gcp.region, settings.airflow.live_dags) == ("gcp", "europe-west6", False)


def test_the_cloud_can_be_chosen(repo: Path) -> None:
    init.run(arguments("sandbox", cloud="gcp"))
    assert "\ncloud: gcp\n" in paths.platform_file("sandbox").read_text()
