"""The verb `backup` on a computer that has no machine: what it lists, tries and says."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

import pytest

from hangar import console, paths
from hangar.backup import target, work
from hangar.backup.folder import Folder
from hangar.backup.records import Sealed
from hangar.commands import backup
from hangar.config import Config
from hangar.errors import HangarError, LockHeld, PromiseBroken
from tests.unit.backup.conftest import Make, folder, make, settings, sign, signing_key

__all__ = ["folder", "make", "settings", "sign", "signing_key"]

FIRST, SECOND = "20261101T031500Z", "20261102T031500Z"


def arguments(action: str, wanted: str = "", *, as_json: bool = False) -> argparse.Namespace:
    return argparse.Namespace(environment="local", overrides=[], action=action, backup=wanted, json=as_json)


def test_where_there_is_none_it_says_how_to_make_one(
    folder: Folder, capsys: pytest.CaptureFixture[str]
) -> None:
    assert backup.run(arguments("list")) == 0
    assert capsys.readouterr().out == "There is no backup. Make one: ./provision.py backup now local\n"
    with pytest.raises(HangarError, match=r"There is no backup\."):
        backup.run(arguments("verify"))


def test_a_clone_that_was_told_of_nothing_asks_the_machine(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It said that there was no backup, while the machine had seven."""
    asked: list[str] = []
    monkeypatch.setattr(
        "hangar.commands._machine.acquaint", lambda args, as_operator: asked.append(args.environment)
    )

    def show(machine: object) -> None:
        raise HangarError("hangar-local cannot be spoken to.")

    monkeypatch.setattr("hangar.backup.machine.Machine.show", show)
    assert backup.run(arguments("list")) == 1
    assert asked == ["local"]
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "hangar-local cannot be spoken to. This is what is here.\n")
    console.configure(json=True)
    assert backup.run(arguments("list", as_json=True)) == 1, "a program would have taken them for lost"
    assert json.loads(capsys.readouterr().out) == []


def test_whole_and_damaged_ones_are_told_apart(
    folder: Folder,
    make: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(FIRST)
    (folder.path / make(SECOND).parts[0].object).unlink()
    console.configure(json=True)
    backup.run(arguments("list", as_json=True))
    found = json.loads(capsys.readouterr().out)
    assert [(one["id"], one["state"]) for one in found] == [(SECOND, "damaged"), (FIRST, "here")]


def test_what_opens_is_said_and_what_does_not_breaks_a_promise(
    folder: Folder,
    make: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    make(FIRST)
    backup.run(arguments("verify"))
    assert capsys.readouterr().out.endswith(
        "Backups: 1, objects: 1. All are as they were made, and the key opens them.\n"
    )
    (folder.path / f"files-{FIRST}.age").write_bytes(b"other")
    with pytest.raises(HangarError, match="is not whole"):
        backup.run(arguments("verify", "latest"))
    with pytest.raises(PromiseBroken) as broken:
        backup.run(arguments("verify"))
    assert broken.value == PromiseBroken(
        "1 of 1 objects cannot be read.", f"* files-{FIRST}.age: it has changed since it was made",
        "Take another: ./provision.py backup list names them",
    )  # fmt: skip
    capsys.readouterr()
    console.configure(json=True)
    assert backup.run(arguments("verify", as_json=True)) == PromiseBroken.exit_code
    said = capsys.readouterr()
    assert set(json.loads(said.out)["problems"]) == {f"files-{FIRST}.age"}
    assert "1 of 1 objects cannot be read." in said.err


def test_without_the_key_nothing_is_tried(folder: Folder, make: Make) -> None:
    make(FIRST)
    paths.backup_key("local").unlink()
    with pytest.raises(HangarError) as refused:
        backup.run(arguments("verify"))
    assert refused.value.details == "* Looked for: .hangar/local/backup-key"


def test_a_host_that_hands_nothing_out_is_told_beside_what_is_here(
    folder: Folder, make: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Away:
        def sizes(self) -> dict[str, int]:
            raise HangarError("The host vault does not hand its backups out.")

    make(FIRST)
    monkeypatch.setattr(target, "of", lambda config: Away())
    console.configure(json=True)
    assert backup.run(arguments("list", as_json=True)) == 1
    told = capsys.readouterr()
    assert [one["id"] for one in json.loads(told.out)] == [FIRST]
    assert "The host vault does not hand its backups out. This is what is elsewhere." in told.err


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ("", True, "yours does not open its backups"),
        ("", False, "there is none here that opens its backups"),
        ("ours", True, "alone opens it: keep a copy elsewhere."),
    ],
)
def test_a_key_that_opens_nothing_is_told_and_so_is_one_that_is_not_here(
    there: str, here: bool, said: str, folder: Folder, make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    public = paths.backup_key("local").with_name("backup-key.pub").read_text().strip()
    if not here:
        paths.backup_key("local").with_name("backup-key.pub").unlink()
    theirs = [public if there else "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIotherother"]
    monkeypatch.setattr("hangar.backup.machine.Machine.show", lambda _: argparse.Namespace(recipients=theirs))
    backup._warn_of_the_key(make_config())
    assert said in capsys.readouterr().err


SEALED = {name: Sealed(name, f"{name}-{FIRST}.age", 3, "0" * 64, FIRST) for name in ("airbyte", "abctl")}
LACKS = (
    "warning: Airbyte's connections and jobs are not in this backup: the machine was configured for another engine, or "
    "by an earlier Hangar. Bring it up first: ./provision.py up local\n"
)


@pytest.mark.parametrize(
    ("engine", "part", "said"),
    [
        ("abctl", "abctl", ""),
        ("embedded", "airbyte", ""),
        ("abctl", "airbyte", LACKS),
        ("embedded", "", LACKS),
    ],
)
def test_a_backup_without_airbytes_connections_says_so(
    engine: str, part: str, said: str, make: Make, make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    made = make(FIRST, *([SEALED[part]] if part else []))
    monkeypatch.setattr(work, "now", lambda *_: (made, []))
    monkeypatch.setattr(backup, "_warn_of_the_key", lambda _: None)
    chosen = make_config(f"airbyte.engine={engine}", f"airbyte.abctl.sha256={'a' * 64}")
    backup._now(chosen, as_json=False)
    warned = [line for line in capsys.readouterr().err.splitlines(True) if line.startswith("warning: ")]
    assert "".join(warned) == said


@pytest.mark.parametrize("break_lock", [False, True])
def test_nothing_is_put_back_while_a_colleague_is_at_work(
    folder: Folder,
    make: Make,
    make_config: Callable[..., Config],
    monkeypatch: pytest.MonkeyPatch,
    break_lock: bool,
) -> None:
    """Their `up`, on another computer, would start the services that this stops"""
    made, did = make(FIRST), []

    class Cloud:
        @contextmanager
        def hold(self, command: str, *, break_lock: bool) -> Iterator[None]:
            did.append(command)
            if not break_lock:
                raise LockHeld("Somebody else is at work on the environment local.")
            yield

    monkeypatch.setattr("hangar.cloud.cloud_for", lambda config: Cloud())
    monkeypatch.setattr("hangar.backup.fetching.from_machine", lambda *_: None)
    monkeypatch.setattr(work, "require", lambda *_: made)
    monkeypatch.setattr(work, "put_back", lambda *_: did.append("put back"))
    console.configure(yes=True)
    with nullcontext() if break_lock else pytest.raises(LockHeld):
        backup._restore(make_config(), "latest", as_json=False, break_lock=break_lock)
    assert did == ["provision.py backup restore local", *(["put back"] if break_lock else [])]
