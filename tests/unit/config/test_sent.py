"""Files whose content goes to the machine: platform.yml may be a stranger's, who chooses none of the operator's."""

from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import config, paths
from hangar.errors import ConfigError

Make = Callable[..., config.Config]

CONTENT = "--hash=sha256:00\nglobal: {auth: {enabled: true}}\n"
FILES = (
    "airflow.plugins", "airflow.python_lock", "airflow.tools.mine",
    "airbyte.connectors", "airbyte.abctl.values", "airbyte.abctl.archive",
)  # fmt: skip
FOLDERS = ("airflow.plugins", "airbyte.connectors")


def put(setting: str, at: Path) -> Path:
    """What the setting would take, at that place."""
    if setting in FOLDERS:
        at.mkdir(parents=True)
        (at / "registry.json").write_text("{}")
    else:
        at.parent.mkdir(parents=True, exist_ok=True)
        at.write_text("a: 1\n" if setting.endswith("values") else CONTENT)
    return at


def refused(make_config: Make, setting: str, named: object) -> str:
    with pytest.raises(ConfigError) as error:
        make_config(f"{setting}={named}")
    (problem,) = error.value.problems
    return str(problem)


@pytest.fixture
def repo(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with something beside it: the operator's home."""
    checkout = repo / "checkout"
    (checkout / "inventory/local").mkdir(parents=True)
    (checkout / "inventory/local/platform.yml").touch()
    monkeypatch.setattr(paths, "REPO", checkout)
    monkeypatch.setenv("HOME", str(repo))
    return checkout


@pytest.mark.parametrize("setting", FILES)
def test_what_goes_to_the_machine_lies_in_the_checkout(repo: Path, make_config: Make, setting: str) -> None:
    outside = put(setting, repo.parent / "private")
    (paths.env_dir("local") / "link").symlink_to(outside)
    said = (
        f"{setting}: {outside} would go to the machine from outside of this checkout, or from what is hidden in it; "
        "a copy of it in inventory/local would be right"
    )
    for named in (outside, "~/private", "../../../private", "link"):
        assert refused(make_config, setting, named) == said
    for there in (put(setting, paths.env_dir("local") / "mine"), put(setting, repo / "pipelines/mine")):
        make_config(f"{setting}={there}")


@pytest.mark.parametrize("setting", FILES)
def test_the_keys_that_hangar_keeps_never_go_to_the_machine(
    repo: Path, make_config: Make, setting: str
) -> None:
    kept = put(setting, paths.state_dir("local") / "id_ed25519")
    assert f"{kept} would go to the machine" in refused(make_config, setting, kept)


@pytest.mark.parametrize("setting", FOLDERS)
def test_the_checkout_itself_is_no_folder_to_send(repo: Path, make_config: Make, setting: str) -> None:
    (repo / "registry.json").write_text("{}")
    assert "hidden in it" in refused(make_config, setting, "../..")


def test_an_environment_that_is_a_link_to_the_inventory_of_a_team_has_its_files_there(
    repo: Path, make_config: Make
) -> None:
    theirs = repo.parent / "inventory-of-a-team"
    paths.env_dir("local").rename(theirs)
    paths.env_dir("local").symlink_to(theirs)
    (theirs / "plugins").mkdir()
    assert make_config("airflow.plugins=plugins").airflow.plugins == theirs / "plugins"
    (repo.parent / "other").mkdir()
    assert "outside of this checkout" in refused(make_config, "airflow.plugins", "../other")


def test_a_key_that_stays_here_may_lie_anywhere(repo: Path, make_config: Make) -> None:
    key = repo.parent / "id_ed25519"
    key.touch()
    found = make_config(f"access.private_key={key}", f"backup.key={key}")
    assert (found.access.private_key, found.backup.key) == (key, key)
