"""The verb `pipelines secret`: a secret comes on standard input, or nothing is kept."""

import io
import sys
from pathlib import Path

import pytest

from hangar import cli


@pytest.mark.parametrize("given", ["", "\n"])
def test_nothing_is_no_secret(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """An empty file, or a caller that closed standard input, must not replace what the machine keeps."""
    monkeypatch.setattr(sys, "stdin", io.StringIO(given))
    assert cli.main(["pipelines", "secret", "--name", "shop"]) == 1
    assert capsys.readouterr().err == (
        "error: A secret needs a name, and comes on standard input.\n"
        "Say: ./provision.py pipelines secret local --name NAME < FILE\n"
    )
