"""The verb `people`, where somebody's access ends: what is asked, what is done first, and what proves it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hangar import config, inventory, lock, paths
from hangar.config.people import today
from hangar.errors import MachineUnreachable
from hangar.people import leaving
from hangar.ssh import keys
from tests.unit.commands.entries import ADMINS, SERVER, Machine, Say, written
from tests.unit.commands.entries import key as key
from tests.unit.commands.entries import machine as machine
from tests.unit.commands.entries import say as say


def test_whoever_leaves_is_out_of_the_file_first_and_a_login_attempt_proves_it(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    machine.told.clear()
    assert say("remove", "ana", "--yes") == 0
    assert config.load("local").people == ()
    assert machine.told == [("remove", "ana"), ("login attempt", "ana"), ("login attempt", "hangar")]
    out = capsys.readouterr().out
    assert "ana is out: the last process ended after 0.4 s; the machine refuses each of their keys." in out
    assert "/srv/people/archive/ana-20261125.tar" in out
    assert "They could read" not in out


@pytest.mark.parametrize(
    ("role", "live", "knew"),
    [
        ("admin", "false", "every secret of the machine"),
        ("developer", "true", "what Airflow holds, by a DAG"),
        ("developer", "false", ""),
        ("viewer", "true", ""),
    ],
)
def test_what_whoever_left_has_read_is_told_with_what_to_do_about_it(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str],
    role: str, live: str, knew: str,
) -> None:  # fmt: skip
    """A key can be taken away, and knowledge cannot"""
    paths.platform_file("local").write_text(f"airflow: {{live_dags: {live}}}\n")
    for name in ("ana", "ada"):
        say("add", name, "--role", role, "--key", str(key(name)))
    capsys.readouterr()
    assert say("remove", "ana", "--yes") == 0
    out = capsys.readouterr().out
    said = f"They could read {knew}. Change what of it opens something elsewhere;\n"
    assert (said in out) == bool(knew)
    assert ("./provision.py rotate --list local\n" in out) == bool(knew)


def test_whoever_left_is_let_in_by_no_playbook_that_is_run_by_hand(
    machine: Machine, say: Say, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The inventory is the one that README names, whatever the machine answered, and whether it runs"""
    hosts = paths.hosts_file("local")
    for name in ("ana", "bea", "zoe"):
        say("add", name, "--role", "viewer", "--key", str(key(name)))
    inventory.write_hosts(SERVER, config.load("local"))
    assert [name in hosts.read_text() for name in ("ana", "bea", "zoe")] == [True, True, True]
    assert say("remove", "ana", "--yes") == 0
    assert [name in hosts.read_text() for name in ("ana", "bea", "zoe")] == [False, True, True]

    def fail(environment: str, name: str) -> dict[str, Any]:
        raise MachineUnreachable("hangar-local cannot be spoken to.")

    monkeypatch.setattr("hangar.people.machine.remove", fail)
    assert say("remove", "bea", "--yes") == 1
    assert [name in hosts.read_text() for name in ("bea", "zoe")] == [False, True]
    machine.server = None
    assert say("expire", "zoe", "--expires", "today", "--yes") == 0
    assert not hosts.exists(), "it would not know the day"
    hosts.touch()
    assert say("remove", "zoe", "--yes") == 0
    assert not hosts.exists()


def test_a_machine_whose_operator_has_another_name_is_asked_by_that_name(
    machine: Machine, say: Say, key: Callable[[str], Path]
) -> None:
    """On a machine that was there before, the account that lets Hangar in is its own"""
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    machine.server = replace(SERVER, admin="debian")
    machine.told.clear()
    assert say("remove", "ana", "--yes") == 0
    assert machine.told == [("remove", "ana"), ("login attempt", "ana"), ("login attempt", "debian")]


def test_a_machine_that_still_lets_somebody_in_is_a_broken_promise(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    machine.keeps = True
    assert say("remove", "ana", "--yes") == 3
    assert "The machine still lets ana in." in capsys.readouterr().err


def test_nothing_happens_without_an_answer(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    before = written()
    assert say("remove", "ana") == 1
    assert (
        "It would have asked: End all access of ana to local now, and archive the home?"
        in capsys.readouterr().err
    )
    assert written() == before


def test_whoever_must_leave_while_another_command_is_at_work_can(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A long `up` is no reason to keep somebody in"""
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    machine.told.clear()
    before = written()
    with lock.held("local", "provision.py up"):
        assert say("remove", "ana", "--yes") == 1
        said = capsys.readouterr().err
    assert "The environment local is locked: `provision.py up` (process" in said
    assert "To end their access before that: ./provision.py ssh local sudo people remove ana" in said
    assert "Then run this again all the same" in said
    assert (machine.told, written()) == ([], before)
    assert say("remove", "ana", "--yes") == 0


def test_whoever_must_leave_while_platform_yml_is_wrong_can(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    paths.platform_file("local").write_text(f"{written()}machine: {{cpus: many}}\n")
    capsys.readouterr()
    assert say("remove", "ana", "--yes") == 2
    said = capsys.readouterr().err
    assert "machine.cpus: " in said
    assert "To end their access before that: ./provision.py ssh local sudo people remove ana\n" in said
    assert say("expire", "ana", "--expires", "never") == 2
    assert "sudo people remove" not in capsys.readouterr().err


def test_whoever_must_leave_where_hangar_cannot_write_the_file_can(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ana, bob = key("ana").read_text().strip(), key("bob").read_text().strip()
    text = f"people:\n- {{name: ana, role: &r viewer, keys: [{ana}]}}\n- {{name: bob, role: *r, keys: [{bob}]}}\n"
    paths.platform_file("local").write_text(text)
    assert say("remove", "ana", "--yes") == 1
    said = capsys.readouterr().err
    assert "Change it by hand; the next `up` makes it so." in said
    assert "To end their access before that: ./provision.py ssh local sudo people remove ana\n" in said
    assert (machine.told, written()) == ([], text)


def test_a_checkout_without_the_change_is_told_of_where_there_can_be_one(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A machine of this computer is of this checkout"""
    commit = "Commit inventory/local/platform.yml: whoever runs `up` from a checkout without this"
    mine = paths.default_private_key("local")
    host_key = keys.read_public_key(mine)
    there = f"cloud: existing\naccess: {{private_key: {mine}}}\n"
    there += f"existing: {{address: 192.0.2.7, user: debian, host_key: {host_key}}}\n"
    for place, is_told in (("", False), (there, True)):
        paths.platform_file("local").write_text(place)
        assert say("add", "ana", "--role", "viewer", "--key", str(key("ana"))) == 0
        assert commit not in capsys.readouterr().out, "whoever comes is only not there yet, elsewhere"
        assert say("expire", "ana", "--expires", "today", "--yes") == 0
        assert (commit in capsys.readouterr().out) == is_told
        assert say("remove", "ana", "--yes") == 0
        assert (commit in capsys.readouterr().out) == is_told


def test_the_last_admin_stays(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ada", "--role", "admin", "--key", str(key("ada")))
    before = written()
    assert say("remove", "ada", "--yes") == 1
    assert say("expire", "ada", "--expires", "2999-01-01") == 1
    assert capsys.readouterr().err.count("ada is the last admin, and stays.") == 2
    assert written() == before


@pytest.mark.parametrize("words", [("remove", "ada"), ("expire", "ada", "--expires", "today")])
def test_of_two_admins_who_are_asked_about_at_once_one_stays(
    machine: Machine, say: Say, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...],
) -> None:  # fmt: skip
    """While the question waits for its answer, the other one goes"""
    paths.platform_file("local").write_text(ADMINS.format(key("ada").read_text(), key("bob").read_text()))

    def answered(question: str) -> bool:
        monkeypatch.setattr("hangar.console.confirm", lambda question: True)
        assert say("remove", "bob") == 0
        return True

    monkeypatch.setattr("hangar.console.confirm", answered)
    assert say(*words) == 1
    assert "ada is the last admin, and stays." in capsys.readouterr().err
    assert [(person.name, person.is_expired) for person in config.load("local").people] == [("ada", False)]
    assert ("remove", "ada") not in machine.told


def test_a_key_that_came_while_the_question_waited_is_tried_too(
    machine: Machine, say: Say, key: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    say("add", "eve", "--role", "viewer", "--key", str(key("eve")))

    def answered(question: str) -> bool:
        assert say("key", "eve", "--key", str(key("new"))) == 0
        machine.told.clear()
        return True

    monkeypatch.setattr("hangar.console.confirm", answered)
    assert say("remove", "eve") == 0
    assert machine.told.count(("login attempt", "eve")) == 2


def test_whoever_removes_themselves_is_asked_twice(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    ada, bob = key("ada"), key("bob")
    text = ADMINS.format(ada.read_text().strip(), bob.read_text().strip())
    paths.platform_file("local").write_text(f"access: {{private_key: {ada.with_suffix('')}}}\n{text}")
    assert say("remove", "ada", "--yes") == 1
    assert "ada is you" in capsys.readouterr().err
    assert machine.told == []
    assert say("remove", "ada", "--yes", "--myself", "ada") == 0
    assert [person.name for person in config.load("local").people] == ["bob"]


def test_whoever_ends_their_own_access_today_is_asked_twice_too(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Another day, or another person, is no such step"""
    ada, bob = key("ada"), key("bob")
    text = ADMINS.format(ada.read_text().strip(), bob.read_text().strip())
    text = f"access: {{private_key: {ada.with_suffix('')}}}\n{text}"
    paths.platform_file("local").write_text(text)
    assert say("expire", "ada", "--expires", "today", "--yes") == 1
    assert "ada is you: this computer logs in with that key, and will be out too." in capsys.readouterr().err
    assert say("expire", "ada", "--expires", "today", "--yes", "--myself", "bob") == 1
    assert "ada stays." in capsys.readouterr().err
    assert (machine.told, written()) == ([], text)
    assert say("expire", "ada", "--expires", "2999-01-01") == 0
    assert say("expire", "bob", "--expires", "today", "--yes") == 0
    assert say("expire", "bob", "--expires", "never") == 0
    assert say("expire", "ada", "--expires", "today", "--yes", "--myself", "ada") == 0
    assert [person.name for person in config.load("local").people if person.is_expired] == ["ada"]


def test_whoever_works_with_the_key_that_hangar_made_is_asked_twice_too(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """docs/people.md says to put its public half into one's own entry"""
    made = paths.default_private_key("local")
    text = ADMINS.format(keys.read_public_key(made), key("bob").read_text().strip())
    paths.platform_file("local").write_text(text)
    assert say("remove", "ada", "--yes") == 1
    assert "ada is you" in capsys.readouterr().err
    assert (machine.told, written()) == ([], text)
    assert say("remove", "bob", "--yes") == 0, "bob is somebody else"
    say("add", "bob", "--role", "admin", "--key", str(key("bob")))
    assert say("remove", "ada", "--yes", "--myself", "ada") == 0
    assert [person.name for person in config.load("local").people] == ["bob"]


def test_whoever_has_no_key_here_is_nobody_here(
    machine: Machine, say: Say, key: Callable[[str], Path], make_config: Callable[..., config.Config]
) -> None:
    text = ADMINS.format(key("ada").read_text().strip(), key("bob").read_text().strip())
    paths.platform_file("local").write_text(text)
    paths.default_private_key("local").unlink()
    keys.public_path(paths.default_private_key("local")).unlink()
    assert not leaving.is_oneself(make_config(), "ada")


def test_whoever_is_half_gone_is_finished(machine: Machine, say: Say) -> None:
    """platform.yml was changed, then the run was killed: the machine still knows them."""
    paths.ssh_config("local").touch()
    machine.known = {"ana": {"left": ""}}
    assert say("remove", "ana", "--yes") == 0
    assert machine.told == [("remove", "ana")]
    machine.known = {"ana": {"left": "2026-11-25"}}
    assert say("remove", "ana", "--yes") == 1


def test_today_means_now(machine: Machine, say: Say, key: Callable[[str], Path]) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    assert say("expire", "ana", "--expires", "today", "--yes") == 0
    assert config.load("local").people[0].expires == today()
    assert "ana" not in machine.admits
    assert say("expire", "ana", "--expires", "2020-01-01") == 1
    assert say("expire", "ana", "--expires", "never") == 0
    assert config.load("local").people[0].expires is None
    assert "ana" in machine.admits


@pytest.mark.parametrize("runs", [True, False])
def test_who_is_cut_off_and_who_comes_back_is_said_as_it_is(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str], runs: bool
) -> None:
    """Also where no machine runs: the next `up` keeps out whoever's day has come"""
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    machine.server = SERVER if runs else None
    down = "ana stands in platform.yml. local has no machine that runs: the next `up` {} them {}."
    capsys.readouterr()
    assert say("expire", "ana", "--expires", "today", "--yes") == 0
    out = capsys.readouterr().out
    assert "ana has no access from now on.\n" in out
    assert ("ana is out: the machine refuses each of their keys." in out) == runs
    assert (down.format("keeps", "out") in out) == (not runs)
    assert say("expire", "ana", "--expires", "2999-01-01") == 0
    out = capsys.readouterr().out
    assert "ana has access until the day before 2999-01-01.\n" in out
    assert (down.format("lets", "in") in out) == (not runs)


def test_nobody_is_cut_off_without_a_question(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """A later day cuts nobody off, and asks nothing"""
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    before = written()
    machine.told.clear()
    assert say("expire", "ana", "--expires", "today") == 1
    asked = "It would have asked: End the access of ana to local now? The account and the home stay."
    assert asked in capsys.readouterr().err
    assert say("expire", "zoe", "--expires", "today") == 1
    assert "There is no zoe in" in capsys.readouterr().err, "before it asks"
    assert (machine.told, written()) == ([], before)
    assert say("expire", "ana", "--expires", "2999-01-01") == 0
