"""`people key`: somebody who stays gets another key, and the old one opens nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hangar import cli, config, paths
from hangar.config.people import today
from hangar.config.public_keys import parse
from hangar.ssh import keys
from tests.unit.commands.entries import ADMINS, Machine, Say, written
from tests.unit.commands.entries import key as key
from tests.unit.commands.entries import machine as machine
from tests.unit.commands.entries import say as say

Make = Callable[[str], Path]


def fingerprint(public: Path) -> str:
    return parse(public.read_text()).fingerprint


def keys_of(name: str) -> list[str]:
    (found,) = [person for person in config.load("local").people if person.name == name]
    return [parse(one).fingerprint for one in found.keys]


@pytest.fixture
def tried(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Login attempts, by account and fingerprint; admitted is what platform.yml says."""
    attempts: list[tuple[str, str]] = []

    def is_admitted(environment: str, account: str, line: str) -> bool:
        attempts.append((account, parse(line).fingerprint))
        return not machine.keeps and parse(line).fingerprint in keys_of("ana")

    monkeypatch.setattr("hangar.people.machine.is_admitted", is_admitted)
    return attempts


def test_a_new_laptop_is_in_and_the_old_one_is_out(
    machine: Machine, say: Say, key: Make, tried: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = key("old"), key("new")
    say("add", "ana", "--role", "developer", "--key", str(old))
    machine.told.clear()
    tried.clear()
    capsys.readouterr()
    assert say("key", "ana", "--key", str(new), "--remove", fingerprint(old), "--yes") == 0
    assert keys_of("ana") == [fingerprint(new)]
    assert machine.told == [("apply", False)]
    assert tried == [("ana", fingerprint(new)), ("ana", fingerprint(old)), ("hangar", fingerprint(old))]
    out = capsys.readouterr().out
    assert "The machine admits each of these keys, and refuses what was taken." in out
    assert fingerprint(old) not in out.splitlines()[-2]


def test_a_second_key_asks_nothing_and_takes_nothing(
    machine: Machine, say: Say, key: Make, tried: list[tuple[str, str]]
) -> None:
    first, second = key("first"), key("second")
    say("add", "ana", "--role", "admin", "--key", str(first))
    machine.told.clear()
    for _ in range(2):
        assert say("key", "ana", "--key", str(second)) == 0, "the same again finishes what was interrupted"
        assert keys_of("ana") == [fingerprint(first), fingerprint(second)]
    assert machine.told == [("apply", True), ("apply", True)], "an admin's opens the operator's account too"


def test_taking_a_key_asks_first(
    machine: Machine, say: Say, key: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("a")), "--key", str(key("b")))
    before = written()
    assert say("key", "ana", "--remove", str(key("a"))) == 1
    asked = f"It would have asked: Take {fingerprint(key('a'))} from ana? Their sessions on local end"
    assert asked in capsys.readouterr().err
    assert written() == before


def test_a_removal_that_was_killed_is_finished_by_the_same_again(
    machine: Machine, say: Say, key: Make, tried: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = key("old"), key("new")
    say("add", "ana", "--role", "viewer", "--key", str(new))
    machine.known = {"ana": {"left": "", "keys": [one.read_text().split()[1] for one in (old, new)]}}
    tried.clear()
    assert say("key", "ana", "--remove", fingerprint(old), "--yes") == 0
    assert tried == [("ana", fingerprint(new)), ("ana", fingerprint(old)), ("hangar", fingerprint(old))]
    machine.known["ana"]["keys"] = [new.read_text().split()[1]]
    assert say("key", "ana", "--remove", fingerprint(old), "--yes") == 1
    assert "ana has no such key." in capsys.readouterr().err


def test_a_machine_that_still_admits_what_was_taken_is_a_broken_promise(
    machine: Machine, say: Say, key: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("a")), "--key", str(key("b")))
    assert say("key", "ana", "--remove", str(key("a")), "--yes") == 3
    assert "The machine still lets ana in." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--remove", "{old}"), "This would leave ana without a key."),
        (("--remove", "SHA256:nobodys", "--key", "{new_file}"), "ana has no such key.\n  * SHA256:nobodys\n"),
        (("--remove", "{old}", "--key", "{old_file}"), "A key cannot come and go at once."),
        (("--remove", "{private}"), "opens nothing: this is a private key"),
        (("--key", "{private}"), "opens nothing: this is a private key"),
        (("--key", "{bobs}"), "people.1.keys.0: is people.0's key too; a key of their own would be right"),
    ],
)
def test_what_cannot_be_changes_nothing(
    machine: Machine,
    say: Say,
    key: Make,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    said: str,
) -> None:
    old = key("old")
    say("add", "ana", "--role", "admin", "--key", str(old))
    say("add", "bob", "--role", "admin", "--key", str(key("bob")))
    before = written()
    machine.told.clear()
    names = {
        "old": fingerprint(old), "old_file": old, "new_file": key("new"), "private": old.with_suffix(""),
        "bobs": key("bob"),
    }  # fmt: skip
    assert say("key", "ana", *(word.format(**names) for word in words), "--yes") in (1, 2)
    assert said in capsys.readouterr().err
    assert (written(), machine.told) == (before, [])


def test_the_key_that_this_computer_works_with_stays(
    machine: Machine, say: Say, key: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """The operator's account would admit it still: from here it is the one that Hangar logs in with"""
    made = paths.default_private_key("local")
    text = ADMINS.format(keys.read_public_key(made), key("bob").read_text().strip())
    paths.platform_file("local").write_text(text)
    words = ("key", "ada", "--key", str(key("new")), "--remove", str(keys.public_path(made)), "--yes")
    assert say(*words) == 1
    assert "This computer logs in to the machine with that key, so it stays." in capsys.readouterr().err
    assert (machine.told, written()) == ([], text)


def test_without_a_machine_the_file_alone_is_changed(
    machine: Machine, say: Say, key: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.server = None
    say("add", "ana", "--role", "viewer", "--key", str(key("a")))
    assert say("key", "ana", "--key", str(key("b")), "--remove", str(key("a")), "--yes") == 0
    assert keys_of("ana") == [fingerprint(key("b"))]
    assert "local has no machine that runs: the next `up` does it." in capsys.readouterr().out


def test_a_key_of_somebody_whose_day_has_come_opens_nothing(
    machine: Machine, say: Say, key: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    line = key("a").read_text().strip()
    paths.platform_file("local").write_text(
        f"people:\n- {{name: ana, role: viewer, keys: [{line}], expires: {today()}}}\n"
    )
    assert say("key", "ana", "--key", str(key("b"))) == 0
    assert "The day of ana has come: the machine refuses each of their keys." in capsys.readouterr().out


def test_whose_keys_are_whose_is_shown_and_adding_again_says_how(
    machine: Machine, say: Say, key: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("a")))
    capsys.readouterr()
    assert cli.main(["people", "key", "ana"]) == 0
    out = capsys.readouterr().out
    assert f"  {fingerprint(key('a'))}  ssh-ed25519  a\n" in out
    assert "Another one: ./provision.py people key ana local --key FILE --remove FINGERPRINT\n" in out
    assert say("add", "ana", "--role", "viewer", "--key", str(key("b"))) == 1
    assert "Another key: ./provision.py people key ana local --key FILE\n" in capsys.readouterr().err
    assert say("key", "zoe") == 1
    assert "There is no zoe in inventory/local/platform.yml." in capsys.readouterr().err
