import argparse
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from hangar import console, paths, pipeline
from hangar.commands import destroy
from hangar.errors import ConfigError, HangarError, NeedsAnswer

ARGUMENTS = argparse.Namespace(
    environment="local", overrides=[], json=False, with_data=False, break_lock=False, confirm=""
)


@pytest.fixture(autouse=True)
def _removal(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(pipeline, "destroy", lambda config, **_: ["container hangar-local"])
    yield
    console.configure()


def test_nothing_goes_without_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NeedsAnswer) as unasked:
        destroy.run(ARGUMENTS)
    assert unasked.value.details == (
        "It would have asked: Remove hangar-local with all its data (DAGs, databases, secrets)? This cannot be undone."
    )


def test_no_means_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "confirm", lambda question: False)
    with pytest.raises(HangarError, match="hangar-local was left as it is"):
        destroy.run(ARGUMENTS)


def test_what_was_removed_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(yes=True)
    assert destroy.run(ARGUMENTS) == 0
    assert capsys.readouterr().out == "  removed container hangar-local\nNothing of hangar-local is left.\n"


def test_a_program_reads_it_as_data(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(yes=True, json=True)
    destroy.run(argparse.Namespace(**{**vars(ARGUMENTS), "json": True}))
    assert json.loads(capsys.readouterr().out) == {"removed": ["container hangar-local"], "kept": []}


@pytest.mark.parametrize("content", [None, "machine: {memory: 1 MiB}\n", "a: [\n"])
def test_a_machine_can_be_removed_whatever_its_file_says(
    content: str | None, capsys: pytest.CaptureFixture[str]
) -> None:
    console.configure(yes=True)
    paths.platform_file("local").unlink()
    if content is not None:
        paths.platform_file("local").write_text(content)
    assert destroy.run(ARGUMENTS) == 0
    said = capsys.readouterr()
    assert "platform.yml has a problem; the machine is looked for by its name alone." in said.err
    assert "Nothing of hangar-local is left." in said.out


def test_an_environment_of_an_impossible_name_is_refused_as_ever() -> None:
    console.configure(yes=True)
    with pytest.raises(ConfigError):
        destroy.run(argparse.Namespace(**{**vars(ARGUMENTS), "environment": "../x"}))
