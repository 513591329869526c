"""Broken files, each with the exact words that a user reads (beside it: .expected)."""

import shutil
from pathlib import Path

import pytest

from hangar import config, paths
from hangar.errors import ConfigError

CORPUS = Path(__file__).resolve().parents[2] / "data" / "platform"


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.yml")), ids=lambda path: path.stem)
def test_every_problem_is_reported_in_words(path: Path, repo: Path) -> None:
    shutil.copytree(CORPUS, paths.env_dir("local"), dirs_exist_ok=True)
    shutil.copy(path, paths.platform_file("local"))
    before = sorted(repo.rglob("*"))
    with pytest.raises(ConfigError) as refused:
        config.load("local")
    words = "".join(f"{problem}\n" for problem in refused.value.problems)
    assert words.replace(str(paths.env_dir("local")), "FOLDER") == path.with_suffix(".expected").read_text()
    assert refused.value.exit_code == 2
    assert sorted(repo.rglob("*")) == before
