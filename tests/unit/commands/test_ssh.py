from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from hangar import cli, paths, process


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], ["hangar-local"]),
        (["local"], ["hangar-local"]),
        (["uptime"], ["hangar-local", "uptime"]),
        (["local", "cat > x"], ["hangar-local", "cat > x"]),
        (["sandbox", "--", "ls", "-l"], ["hangar-sandbox", "ls", "-l"]),
    ],
)
def test_the_first_word_is_an_environment_if_there_is_one(
    repo: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], expected: list[str]
) -> None:
    for env in ("local", "sandbox"):
        (paths.ensure_state_dir(env) / "ssh_config").touch()
    called: list[Sequence[str]] = []
    monkeypatch.setattr(process, "interactive", lambda argv: called.append(argv) or 0)
    assert cli.main(["ssh", *words]) == 0
    env = expected[0].removeprefix("hangar-")
    assert called == [["ssh", "-F", str(repo / ".hangar" / env / "ssh_config"), *expected]]


def test_an_environment_without_a_machine_says_how_to_make_one(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["ssh"]) == 1
    assert "Make it: ./provision.py up local" in capsys.readouterr().err
