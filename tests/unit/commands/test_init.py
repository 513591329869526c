import argparse
from pathlib import Path

import pytest

from hangar import config, paths
from hangar.commands import init
from hangar.errors import ConfigError, HangarError


def arguments(environment: str, *, json: bool = False) -> argparse.Namespace:
    return argparse.Namespace(environment=environment, json=json)


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
