"""The verb `pipelines secret`: a secret comes on standard input, or nothing is kept."""

import io
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hangar import cli
from hangar.commands import pipelines


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


@pytest.mark.parametrize("errors", ["strict", "surrogateescape"])
@pytest.mark.parametrize("given", ["hunter2".encode("utf-16"), "hunter2".encode("utf-16-le"), b"caf\xe9\n"])
def test_what_is_no_text_is_no_secret(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], given: bytes, errors: str
) -> None:
    """As PowerShell and old editors write files. Python reads them as it likes, by the computer's own language."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8", errors))
    assert cli.main(["pipelines", "secret", "--name", "shop"]) == 1
    assert capsys.readouterr().err == (
        "error: The secret was not kept: what came on standard input is no text in UTF-8.\n"
        "Save it as UTF-8 and run the same command again.\n"
    )


@pytest.mark.parametrize("given", [b"hunter2", b"hunter2\n", b"hunter2\r\n", b"\xef\xbb\xbfhunter2\r\n"])
def test_a_secret_is_kept_as_it_was_meant(repo: Path, monkeypatch: pytest.MonkeyPatch, given: bytes) -> None:
    kept: dict[str, str] = {}

    class Machine:
        def keep(self, name: str, value: str) -> None:
            kept[name] = value

    @contextmanager
    def client(_: object) -> Iterator[Machine]:
        yield Machine()

    monkeypatch.setattr(pipelines, "client", client)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8"))
    assert cli.main(["pipelines", "secret", "--name", "shop"]) == 0
    assert kept == {"shop": "hunter2"}
