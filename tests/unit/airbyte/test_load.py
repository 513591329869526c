"""Broken files, each with the exact words that a user reads, and several files together."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import config, paths
from hangar.airbyte import load
from hangar.errors import ConfigError

CORPUS = Path(__file__).resolve().parents[2] / "data" / "pipelines"
REAL = paths.REPO
MakeConfig = Callable[..., config.Config]


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_problem_is_reported_in_words(path: Path, repo: Path, make_config: MakeConfig) -> None:
    (repo / "pipelines").mkdir()
    shutil.copy(path, repo / "pipelines" / "airbyte.yml")
    with pytest.raises(ConfigError) as refused:
        load.load(make_config())
    words = "".join(f"{problem}\n" for problem in refused.value.problems)
    assert words == path.with_suffix(".expected").read_text()
    assert refused.value.exit_code == 2
    assert refused.value.brief.startswith("pipelines/airbyte.yml has ")


def test_the_pipelines_that_are_shipped_are_right(repo: Path, make_config: MakeConfig) -> None:
    (repo / "pipelines").mkdir()
    shutil.copy(REAL / "pipelines" / "airbyte.yml", repo / "pipelines" / "airbyte.yml")
    found = load.load(make_config())
    connection = found.connections["faker_to_warehouse"]
    assert (connection.source, connection.destination, connection.schedule) == (
        "faker",
        "warehouse",
        "manual",
    )
    assert found.destinations["warehouse"].configuration["schema"] == "raw"


def test_files_are_joined_and_an_environment_may_have_its_own(repo: Path, make_config: MakeConfig) -> None:
    write(repo / "pipelines/airbyte/shop.yml", "sources: {shop: {connector: postgres}}")
    write(
        repo / "pipelines/airbyte/other.yml",
        "environments: [production]\nsources: {big: {connector: postgres}}",
    )
    write(repo / "inventory/local/airbyte.yml", "sources: {mine: {connector: faker}}")
    assert sorted(load.load(make_config()).sources) == ["mine", "shop"]


@pytest.mark.parametrize(("given", "kept"), [
    ("0 30 4 * * ? America/New_York", "0 30 4 * * ? America/New_York"),
    ("0 0 0 ? * MON Etc/GMT-14", "0 0 0 ? * MON Etc/GMT-14"),
    ("0 30 4  * * ? UTC", "0 30 4 * * ?"),
])  # fmt: skip
def test_a_schedule_may_name_any_time_zone(
    repo: Path, make_config: MakeConfig, given: str, kept: str
) -> None:
    write(
        repo / "pipelines/airbyte.yml",
        "sources: {shop: {connector: postgres}}\ndestinations: {lake: {connector: duckdb}}\nconnections:\n"
        f'  it: {{source: shop, destination: lake, schedule: "{given}",'
        " streams: {a: {sync_mode: full_refresh_append}}}",
    )
    assert load.load(make_config()).connections["it"].schedule == kept


def test_without_files_nothing_is_declared(repo: Path, make_config: MakeConfig) -> None:
    found = load.load(make_config())
    assert (found.sources, found.destinations, found.connections) == ({}, {}, {})


def test_what_two_files_declare_is_told_with_both(repo: Path, make_config: MakeConfig) -> None:
    write(repo / "pipelines/airbyte/a.yml", "workspace: One\nsources: {shop: {connector: postgres}}")
    write(repo / "pipelines/airbyte/b.yml", "workspace: Two\nsources: {shop: {connector: mysql}, x: {}}")
    with pytest.raises(ConfigError) as refused:
        load.load(make_config())
    assert refused.value.details == (
        "pipelines/airbyte/b.yml: sources.x.connector: is missing; a name such as postgres would be right"
    )
    write(repo / "pipelines/airbyte/b.yml", "workspace: Two\nsources: {shop: {connector: mysql}}")
    with pytest.raises(ConfigError) as refused:
        load.load(make_config())
    assert refused.value.brief == "What pipelines/ declares has 2 problems; nothing was touched."
    assert refused.value.details == (
        "pipelines/airbyte/b.yml: sources.shop: is in pipelines/airbyte/a.yml too; one of them would be right\n"
        'pipelines/airbyte/b.yml: workspace: "Two", but pipelines/airbyte/a.yml says "One"; '
        "one for all files would be right"
    )


def test_settings_of_the_platform_can_be_named(repo: Path, make_config: MakeConfig) -> None:
    write(
        repo / "pipelines/airbyte.yml",
        "sources: {shop: {connector: postgres, configuration: {port: {setting: airflow.port}}}}",
    )
    assert load.load(make_config("airflow.port=8085")).sources["shop"].configuration == {"port": 8085}


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
