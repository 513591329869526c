import argparse
import json
from pathlib import Path

import pytest

from hangar import console, paths, pipeline
from hangar.commands import destroy
from hangar.errors import ConfigError, HangarError, NeedsAnswer
from hangar.plan import Removal

ARGUMENTS = argparse.Namespace(
    environment="local", overrides=[], json=False, with_data=False, break_lock=False, confirm=""
)


@pytest.fixture(autouse=True)
def _removal(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "destroy", lambda config, **_: ["container hangar-local"])


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


def test_backups_that_stay_are_named_with_the_way_back(capsys: pytest.CaptureFixture[str]) -> None:
    console.configure(yes=True)
    paths.backups_dir("local").mkdir(parents=True)
    (paths.backups_dir("local") / "20261101T031500Z.json").touch()
    destroy.run(ARGUMENTS)
    assert capsys.readouterr().out == (
        "  removed container hangar-local\n  kept .hangar/local/backups, and the key that reads them\n"
        "Its backups are kept. A machine with their data: ./provision.py up local --restore latest\n"
    )


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


def test_a_key_stays_where_the_file_does_not_say_what_it_opens(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    console.configure(yes=True)
    asked: list[object] = []
    monkeypatch.setattr(pipeline, "destroy", lambda config, **how: asked.append(how["is_unsure"]) or ["it"])
    paths.ensure_state_dir("local")
    paths.backup_key("local").touch()
    destroy.run(ARGUMENTS)
    assert "kept" not in capsys.readouterr().out
    paths.platform_file("local").write_text("backup: {sftp: {host: vault.example.org}\n")
    destroy.run(ARGUMENTS)
    assert "  kept .hangar/local/backup-key, the only key that reads its backups\n" in capsys.readouterr().out
    assert asked == [False, True]


def test_an_environment_of_an_impossible_name_is_refused_as_ever() -> None:
    console.configure(yes=True)
    with pytest.raises(ConfigError):
        destroy.run(argparse.Namespace(**{**vars(ARGUMENTS), "environment": "../x"}))


GUARDED = Removal(("machine hangar-local",), ("data disk hangar-local-data",), takes_data=False, guarded=True)
WITH_DATA = Removal(("machine hangar-local", "data disk hangar-local-data"), takes_data=True, guarded=True)


def doom(monkeypatch: pytest.MonkeyPatch, removal: Removal) -> None:
    monkeypatch.setattr(pipeline, "removal", lambda config, with_data: removal)


def test_what_stays_is_shown_before_and_after(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    doom(monkeypatch, GUARDED)
    console.configure(yes=True)
    destroy.run(ARGUMENTS)
    assert capsys.readouterr().out == (
        "- machine hangar-local\n= data disk hangar-local-data: stays\n  removed container hangar-local\n"
        "  kept data disk hangar-local-data\nThe data of hangar-local is kept.\n"
    )


def test_yes_is_not_enough_for_the_data(monkeypatch: pytest.MonkeyPatch) -> None:
    doom(monkeypatch, WITH_DATA)
    console.configure(yes=True)
    with pytest.raises(NeedsAnswer) as unasked:
        destroy.run(argparse.Namespace(**{**vars(ARGUMENTS), "with_data": True}))
    assert unasked.value.resolution == (
        "Say --confirm local to answer beforehand (--yes is not enough for this)."
    )


@pytest.mark.parametrize(("word", "ends"), [("local", 0), ("production", None)])
def test_the_environments_name_is(monkeypatch: pytest.MonkeyPatch, word: str, ends: int | None) -> None:
    doom(monkeypatch, WITH_DATA)
    arguments = argparse.Namespace(**{**vars(ARGUMENTS), "with_data": True, "confirm": word})
    if ends is None:
        with pytest.raises(HangarError, match="was left as it is"):
            destroy.run(arguments)
    else:
        assert destroy.run(arguments) == ends


@pytest.mark.parametrize("content", ["cloud: gcp\ngcp: {zone: x}\n", "cloud: 'gcp'\na: [\n"])
def test_a_machine_elsewhere_is_not_looked_for_here(content: str) -> None:
    """In which project it lies stands in the file alone."""
    console.configure(yes=True)
    paths.platform_file("local").write_text(content)
    with pytest.raises(ConfigError):
        destroy.run(ARGUMENTS)
