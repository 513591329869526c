"""The verb `people`: what it changes, what it asks, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from hangar import cli, config, inventory, lock, paths
from hangar.cloud.base import Server
from hangar.config.people import today
from hangar.config.public_keys import parse
from hangar.errors import MachineUnreachable
from hangar.people import leaving
from hangar.people import machine as people_machine
from hangar.ssh import keys

BOOKS = Path(__file__).resolve().parents[3] / "playbooks"
SERVER = Server(
    name="hangar-local", environment="local", cloud="container", id="id-1", address="127.0.0.1", port=22022,
    admin="hangar", host_keys=(), ssh_sources=(), limits=(),
)  # fmt: skip
ADMINS = """\
people:
  - name: ada
    role: admin
    keys: [{}]
  - name: bob
    role: admin
    keys: [{}]
"""

Say = Callable[..., int]


@dataclass
class Machine:
    """Plays the machine: what it was told, in order, and whom it lets in."""

    server: Server | None = SERVER
    told: list[Any] = field(default_factory=list)
    admits: set[str] = field(default_factory=set)
    known: dict[str, Any] = field(default_factory=dict)
    keeps: bool = False

    def apply(self, found: config.Config, *, operators: bool, progress: Any) -> None:
        self.told.append(("apply", operators))
        self.admits |= {person.name for person in found.people if not person.is_expired}
        self.admits -= {person.name for person in found.people if person.is_expired}

    def remove(self, environment: str, name: str) -> dict[str, Any]:
        self.told.append(("remove", name))
        self.admits -= set() if self.keeps else {name}
        return {"seconds": 0.4, "archive": f"/srv/people/archive/{name}-20261125.tar"}

    def is_admitted(self, environment: str, account: str, key: str) -> bool:
        self.told.append(("login attempt", account))
        return account in self.admits


@pytest.fixture
def machine(repo: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    played = Machine()
    monkeypatch.setattr("hangar.people.machine.apply", played.apply)
    monkeypatch.setattr("hangar.people.machine.remove", played.remove)
    monkeypatch.setattr("hangar.people.machine.show", lambda env: played.known)
    monkeypatch.setattr("hangar.people.machine.is_admitted", played.is_admitted)
    keys.ensure_key(paths.default_private_key("local"), "hangar-local")
    monkeypatch.setattr("hangar.pipeline.introduce", lambda server, found: paths.ssh_config("local").touch())
    for module in ("coming", "leaving"):
        monkeypatch.setattr(f"hangar.people.{module}.cloud_for", lambda found: played_cloud(played))
    return played


def played_cloud(played: Machine) -> Any:
    @dataclass
    class Cloud:
        def server(self) -> Server | None:
            return played.server

    return Cloud()


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    return lambda *words: cli.main(["people", *words])


@pytest.fixture
def key(tmp_path: Path) -> Callable[[str], Path]:
    def make(name: str) -> Path:
        keys.ensure_key(tmp_path / name, name)
        return tmp_path / f"{name}.pub"

    return make


def written() -> str:
    return paths.platform_file("local").read_text()


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


@pytest.mark.parametrize("of", ["whole", "body", "end", "line"])
def test_a_private_keys_text_is_repeated_nowhere(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str], of: str
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
    for text in (said.out, said.err, said_too.out, said_too.err):
        assert body[80:110] not in text
    assert (written(), machine.told) == ("", [])


def test_a_name_of_the_machines_own_is_refused(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert say("add", "airflow", "--role", "viewer", "--key", str(key("a"))) == 2
    assert (
        'people.0.name: "airflow" is taken on the machine; another name would be right'
        in capsys.readouterr().err
    )
    assert written() == ""


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


def test_the_last_admin_stays(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    say("add", "ada", "--role", "admin", "--key", str(key("ada")))
    before = written()
    assert say("remove", "ada", "--yes") == 1
    assert say("expire", "ada", "--expires", "2999-01-01") == 1
    assert capsys.readouterr().err.count("ada is the last admin, and stays.") == 2
    assert written() == before


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


@pytest.mark.parametrize("words", [("add",), ("remove",), ("list", "a", "b"), ("fire", "ana", "x", "y")])
def test_other_words_are_refused(machine: Machine, say: Say, words: tuple[str, ...]) -> None:
    assert say(*words) == 1


def test_a_file_that_is_not_utf_8_is_not_written_again(
    machine: Machine, say: Say, key: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """All other verbs read it; to add to it would change what its owner wrote."""
    before = "airflow: {port: 8081}\n# f\u00fcr uns\n".encode("latin-1")
    paths.platform_file("local").write_bytes(before)
    assert say("add", "ana", "--role", "viewer", "--key", str(key("ana"))) == 2
    assert "line 2: is not UTF-8; save the file as UTF-8" in capsys.readouterr().err
    assert paths.platform_file("local").read_bytes() == before
