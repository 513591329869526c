"""The verb `people`: whom it lets in, what it refuses, and what it lists."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hangar import cli, config, paths
from hangar.config.public_keys import parse
from hangar.errors import MachineUnreachable
from hangar.people import machine as people_machine
from hangar.ssh import keys
from tests.unit.commands.entries import Machine, Say, written
from tests.unit.commands.entries import key as key
from tests.unit.commands.entries import machine as machine
from tests.unit.commands.entries import say as say

BOOKS = Path(__file__).resolve().parents[3] / "playbooks"


def test_somebody_is_added_applied_and_proven(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    paths.platform_file("local").write_text("# mine\nairflow: {port: 8081}\n")
    assert say("add", "ana", "--role", "developer", "--key", str(key("ana")), "--expires", "2999-01-01") == 0
    assert written().startswith("# mine\nairflow: {port: 8081}\n")
    (ana,) = config.load("local").people
    assert (ana.name, ana.role, str(ana.expires)) == ("ana", "developer", "2999-01-01")
    assert machine.told == [("apply", False), ("login attempt", "ana")]
    assert "ana (developer) is in: the machine admits each of their keys." in capsys.readouterr().out


def test_the_same_again_finishes_what_was_interrupted(
    machine: Machine, say: Say, key: Callable[[str], Path]
) -> None:
    words = ("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    assert say(*words) == 0
    before = written()
    machine.admits.clear()
    assert say(*words) == 0
    assert written() == before
    assert machine.admits == {"ana"}
    assert say("add", "ana", "--role", "admin", "--key", str(key("ana"))) == 1
    assert written() == before


def test_an_admin_gets_into_the_operators_account_too(
    machine: Machine, say: Say, key: Callable[[str], Path]
) -> None:
    assert say("add", "ada", "--role", "admin", "--key", str(key("ada"))) == 0
    assert machine.told[0] == ("apply", True)


def test_an_admin_is_bounded_by_no_share_from_the_first_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """Roles that know who is an admin are in the playbook, and asked for admins alone"""
    asked: list[list[str]] = []
    monkeypatch.setattr("hangar.playbook.run", lambda env, book, *, tags, on_event: asked.append(tags))
    found = SimpleNamespace(environment="local")
    for operators in (False, True):
        people_machine.apply(found, operators=operators, progress=lambda event: None)  # type: ignore[arg-type]
    assert asked == [["people"], ["people", "ssh_server", "remote_ssh"]]
    (play,) = yaml.safe_load((BOOKS / people_machine.BOOK).read_text())
    assert [role["role"] for role in play["roles"]] == asked[1]


def test_a_machine_that_is_down_is_told_by_the_next_up(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    machine.server = None
    assert say("add", "ana", "--role", "viewer", "--key", str(key("ana"))) == 0
    assert "local has no machine that runs: the next `up` lets them in." in capsys.readouterr().out
    assert say("remove", "ana", "--yes") == 0
    assert "local has no machine that runs: the next `up` finishes it." in capsys.readouterr().out
    assert config.load("local").people == ()
    assert machine.told == []


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--role", "viewer", "--key", "{private}"), 1, "opens nothing: this is a private key"),
        (
            ("--role", "viewer", "--key", "ssh-ed25519 AAAA"),
            1,
            "the ssh-ed25519 key was cut short or changed",
        ),
        (("--role", "viewer", "--key", "{public}", "--expires", "2020-01-01"), 1, "is not in the future"),
        (("--role", "viewer", "--key", "{public}", "--expires", "soon"), 1, '"soon" is not a day.'),
        (
            ("--role", "viewer", "--key", "{public}", "--email", "nobody"),
            2,
            'people.0.email: "nobody" does not fit',
        ),
        (("--role", "viewer"), 1, "ana needs a key and a role."),
        (("--key", "{public}"), 1, "ana needs a key and a role."),
    ],
)
def test_bad_input_changes_nothing(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...], code: int, said: str,
) -> None:  # fmt: skip
    public = key("ana")
    names = {"public": public, "private": public.with_suffix("")}
    assert say("add", "ana", *(word.format(**names) for word in words)) == code
    spoken = capsys.readouterr()
    assert said in spoken.err
    assert public.with_suffix("").read_text().splitlines()[1][:20] not in spoken.err + spoken.out
    assert (written(), machine.told) == ("", [])


def test_a_key_in_a_folder_with_a_blank_is_found(
    machine: Machine, say: Say, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "my keys").mkdir()
    public = keys.public_path(tmp_path / "my keys" / "ana")
    keys.ensure_key(tmp_path / "my keys" / "ana", "ana")
    assert say("add", "ana", "--role", "viewer", "--key", str(public.with_suffix(""))) == 1
    assert f"{public.with_suffix('')} opens nothing: this is a private key" in (
        err := capsys.readouterr().err
    )
    assert f"Say --key '{public}'" in err
    assert say("add", "ana", "--role", "viewer", "--key", str(public)) == 0
    assert config.load("local").people[0].keys == (public.read_text().strip(),)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_key_that_powershell_wrote_is_the_same_key(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str], encoding: str
) -> None:
    """Its > writes UTF-16 and Windows' line ends; a private key is known in it all the same"""
    public = key("ana")
    text, private = public.read_text(), public.with_suffix("").read_text()
    public.write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert say("add", "ana", "--role", "viewer", "--key", str(public)) == 0
    assert [*config.load("local").people[0].keys] == [text.strip()]
    public.write_bytes(private.encode(encoding))
    assert say("add", "eve", "--role", "viewer", "--key", str(public)) == 1
    said = capsys.readouterr()
    assert "this is a private key" in said.err
    assert private.splitlines()[1][:20] not in said.err + said.out


@pytest.mark.parametrize("given", ["ana.pub", "~/my keys/ana.pub", "/no/where/ana.pub"])
def test_a_key_file_that_is_not_there_is_named(
    machine: Machine, say: Say, capsys: pytest.CaptureFixture[str], given: str
) -> None:
    """A slip in its name, and not a bad key"""
    assert say("add", "ana", "--role", "viewer", "--key", given) == 1
    assert f"error: There is no file {given}.\n" in capsys.readouterr().err
    assert (written(), machine.told) == ("", [])


@pytest.mark.parametrize("of", ["whole", "body", "end", "line"])
def test_a_private_keys_text_is_repeated_nowhere(
    machine: Machine,
    say: Say,
    key: Callable[[str], Path],
    capsys: pytest.CaptureFixture[str],
    of: str,
    tmp_path: Path,
) -> None:
    whole = key("ana").with_suffix("").read_text()
    body = "".join(whole.splitlines()[1:-1])
    given = {"whole": whole, "body": body, "end": body[40:], "line": body[70:140]}[of]
    assert len(body[40:]) > 255, "longer than a file's name may be"
    assert say("add", "ana", "--role", "viewer", "--key", given) == 1
    said = capsys.readouterr()
    assert "The given key opens nothing: this is " in said.err
    assert cli.main(["ssh-config", "--user", "ana", "--key", given]) == 1
    said_too = capsys.readouterr()
    assert "--key wants the path of a private key, and this is none." in said_too.err
    at = tmp_path / "Anna" / ".ssh"
    at.mkdir(parents=True)
    assert cli.main(["ssh-config", "--windows", str(at), "--user", "ana", "--key", given, "--yes"]) == 1
    said_there = capsys.readouterr()
    assert "--key wants the path of a private key, and this is none." in said_there.err
    assert list(at.rglob("*")) == [], "nor is it written where Windows' ssh looks"
    for text in (said.out, said.err, said_too.out, said_too.err, said_there.out, said_there.err):
        assert body[80:110] not in text
    assert (written(), machine.told) == ("", [])


def test_a_private_key_among_the_words_is_not_repeated_either(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    whole = key("ana").with_suffix("").read_text()
    assert say("add", "ana", "local", whole, "--role", "viewer") == 1
    said = capsys.readouterr()
    assert "You said a private key" in said.err
    assert whole.splitlines()[1][:20] not in said.err + said.out
    assert say("add", "ana", "local", "twice") == 1
    assert "You said: people add ana local twice" in capsys.readouterr().err


def test_a_name_of_the_machines_own_is_refused(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("add", "airflow", "--role", "viewer", "--key", str(key("a"))) == 2
    assert (
        "error: inventory/local/platform.yml, as this would make it, has a problem; nothing was touched.\n"
        '  people.0.name: "airflow" is taken on the machine; another name would be right\n'
        "Say the same again with what would be right.\n"
    ) in capsys.readouterr().err
    assert written() == ""


def test_the_list_tells_who_is_there(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    public = key("ana")
    say("add", "ana", "--role", "viewer", "--key", str(public))
    machine.known = {
        "ana": {"account": True, "sessions": True, "left": ""},
        "zoe": {"account": True, "sessions": False, "left": ""},
    }
    capsys.readouterr()
    assert say("list", "--json") == 0
    out = capsys.readouterr().out
    assert '"state": "working"' in out
    assert parse(public.read_text()).fingerprint in out
    assert '"leaving": [\n    "zoe"\n  ]' in out or '"leaving": ["zoe"]' in out


def test_the_list_says_of_nobody_what_it_could_not_ask(
    machine: Machine,
    say: Say,
    key: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In a colleague's fresh clone everybody was `not there yet`, though they were in."""

    def away(environment: str) -> None:
        raise MachineUnreachable("hangar-local cannot be spoken to.", "", "See: ./provision.py ssh local")

    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    monkeypatch.setattr("hangar.people.machine.show", away)
    capsys.readouterr()
    assert say("list", "--json") == 1, "a program would have taken it for the whole"
    said = capsys.readouterr()
    assert json.loads(said.out)["people"][0]["state"] == "not known"
    assert json.loads(said.out)["leaving"] is None
    assert said.err.startswith("hangar-local cannot be spoken to. This is what platform.yml says.\n")
    paths.ssh_config("local").unlink()
    say("list", "--json")
    said = capsys.readouterr()
    assert json.loads(said.out)["people"][0]["state"] == "not there yet", "no machine was ever made here"
    assert "cannot" not in said.err


def test_a_clone_that_was_told_of_nothing_asks_the_machine_itself(
    machine: Machine,
    say: Say,
    key: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    say("add", "ana", "--role", "viewer", "--key", str(key("ana")))
    machine.known = {"ana": {"account": True, "sessions": False, "left": ""}}
    paths.ssh_config("local").unlink()
    told: list[bool] = []
    monkeypatch.setattr(
        "hangar.commands._machine.acquaint", lambda args, as_operator: told.append(as_operator)
    )
    capsys.readouterr()
    assert say("list", "--json") == 0
    assert json.loads(capsys.readouterr().out)["people"][0]["state"] == "in"
    monkeypatch.setattr("hangar.people.machine.new_password", lambda env, name: None)
    assert say("password", "ana") == 0
    assert told == [True, True]


@pytest.mark.parametrize("words", [("add",), ("remove",), ("list", "a", "b"), ("fire", "ana", "x", "y")])
def test_other_words_are_refused(machine: Machine, say: Say, words: tuple[str, ...]) -> None:
    assert say(*words) == 1


def test_a_file_that_is_not_utf_8_is_not_written_again(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = "airflow: {port: 8081}\n# f\u00fcr uns\n".encode("latin-1")
    paths.platform_file("local").write_bytes(before)
    assert say("add", "ana", "--role", "viewer", "--key", str(key("ana"))) == 2
    assert "line 2: is not UTF-8; save the file as UTF-8" in capsys.readouterr().err
    assert paths.platform_file("local").read_bytes() == before
