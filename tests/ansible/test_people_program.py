"""The machine's program `people`: what it finds to be done, in which order, and what it leaves alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hangar_people import (
    accounts,
    described,
    facts,
    keys,
    leaving,
    ledger,
    program,
    sessions,
    steps,
)
from hangar_people.described import ALL_GROUPS, GROUPS, Described, Person, Refused
from hangar_people.facts import Account, Facts, Group
from hangar_people.ledger import UIDS, Line

from tests.templates.render import render

TODAY = date(2026, 11, 25)
ANA = Person("ana", "developer", ("ssh-ed25519 AAAAana ana@laptop",))
VIC = Person("vic", "viewer", ("ssh-ed25519 AAAAvic",), date(2027, 1, 1))
NUMBERS = {"ana": 20_001, "vic": 20_002}


def account(person: Person) -> Account:
    uid = NUMBERS[person.name]
    return Account(
        uid, uid, f"/srv/people/home/{person.name}", "/bin/bash", "*", accounts.expiry_days(person)
    )


def settled(*people: Person) -> tuple[Described, Facts]:
    """A machine on which all is as described, with an operator and a system account."""
    members = {group: tuple(one.name for one in people if group in one.groups) for group in ALL_GROUPS}
    members["hangar-admins"] += ("hangar",)
    found = Facts(
        accounts={one.name: account(one) for one in people}
        | {"cat": Account(999, 999, "/", "/bin/sh", "!", None)},
        groups={group: Group(900, names) for group, names in members.items()} | {"video": Group(44, ())},
        keys={one.name: one.key_file() for one in people} | {"hangar": "ssh-ed25519 AAAAops\n"},
        homes={one.name: NUMBERS[one.name] for one in people},
        ledger={one.name: Line(NUMBERS[one.name], "2026-11-01") for one in people},
    )
    return Described({one.name: one for one in people}, ("hangar",)), found


def todo(wanted: Described, found: Facts, day: date = TODAY) -> list[str]:
    return [step.what for step in steps.needed(wanted, found, day)]


@pytest.fixture(autouse=True)
def _folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in (
        (ledger, "HOMES"), (ledger, "LEDGER"), (facts, "KEYS"), (facts, "LINGER"), (leaving, "ARCHIVE"),
        (leaving, "PASSWORDS"), (leaving, "SLICES"), (described, "DESCRIPTION"), (described, "LOCK"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, tmp_path / name.lower())
    monkeypatch.setattr(sessions, "processes", dict)  # nobody is on this machine
    facts.KEYS.mkdir()
    ledger.HOMES.mkdir()


@pytest.fixture
def homes_in_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "HOMES", Path("/srv/people/home"))


pytestmark = pytest.mark.usefixtures("homes_in_place")


def test_nothing_is_to_be_done_where_all_is_right() -> None:
    assert todo(*settled(ANA, VIC)) == []


def test_somebody_new_gets_account_home_groups_and_keys() -> None:
    wanted, found = settled(VIC)
    uid = ledger.uid_for("ana", {}, {20_002})
    assert todo(replace(wanted, people={**wanted.people, "ana": ANA}), found) == [
        f"ana: account {uid} made", "ana: home made", "ana: is developer", "ana: keys set",
    ]  # fmt: skip


def test_whoever_is_not_described_leaves_before_anything_else_happens() -> None:
    wanted, found = settled(ANA, VIC)
    wanted = Described({"vic": replace(VIC, keys=("ssh-ed25519 AAAAnew",))}, wanted.others)
    assert todo(wanted, found) == ["ana: is out, home archived", "vic: keys set"]


def test_a_departure_that_was_killed_is_finished_by_the_next_run() -> None:
    """Account and keys are gone, the ledger has no day of leaving: the home is not archived yet."""
    wanted, found = settled(VIC)
    found = replace(found, ledger={**found.ledger, "ana": Line(20_001, "2026-11-01")})
    assert todo(wanted, found) == ["ana: is out, home archived"]
    done = replace(found, ledger={**found.ledger, "ana": Line(20_001, "2026-11-01", "2026-11-25")})
    assert todo(wanted, done) == []


def test_after_a_restore_whoever_left_since_is_out_and_the_others_come_back() -> None:
    """An older /srv on a new machine: homes and the ledger are there, accounts are not."""
    wanted, found = settled(VIC)
    ana = Line(20_001, "2026-11-01")
    found = replace(
        found, accounts={}, keys={}, homes={**found.homes, "ana": 20_001}, ledger={**found.ledger, "ana": ana},
        groups={group: Group(900, ()) for group in ALL_GROUPS},
    )  # fmt: skip
    assert todo(wanted, found) == [
        "ana: is out, home archived", "vic: account 20002 made", "vic: is viewer", "vic: keys set"
    ]  # fmt: skip


def test_a_key_that_somebody_added_by_hand_goes() -> None:
    wanted, found = settled(ANA)
    assert todo(wanted, replace(found, keys={**found.keys, "mallory": "ssh-ed25519 AAAAx\n"})) == [
        "keys of mallory: gone"
    ]
    more = {**found.keys, "ana": found.keys["ana"] + "ssh-ed25519 AAAAx\n"}
    assert todo(wanted, replace(found, keys=more)) == ["ana: keys set"]


def test_strange_files_and_members_stay_where_nobody_said_whose_they_are() -> None:
    wanted, found = settled(ANA)
    found = replace(found, keys={**found.keys, "mallory": "ssh-ed25519 AAAAx\n"})
    assert todo(replace(wanted, others=None), found) == []


def test_a_stranger_leaves_the_groups_that_admit() -> None:
    wanted, found = settled(ANA)
    members = Group(900, ("hangar", "cat"))
    assert todo(wanted, replace(found, groups={**found.groups, "hangar-admins": members})) == [
        "cat: no longer in hangar-admins"
    ]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"shell": "/bin/sh"}, "ana: account put right"),
        ({"home": "/root"}, "ana: account put right"),
        ({"password": "$y$x"}, "ana: account put right"),
        ({"expires": 9}, "ana: account put right"),
        ({"gid": 0}, "ana: account put right"),
    ],
)
def test_what_was_changed_by_hand_is_put_right(change: dict[str, object], what: str) -> None:
    wanted, found = settled(ANA)
    found = replace(found, accounts={**found.accounts, "ana": replace(found.accounts["ana"], **change)})
    assert todo(wanted, found) == [what]


def test_further_groups_are_taken_and_what_runs_with_them_ends() -> None:
    wanted, found = settled(ANA)
    found = replace(found, groups={**found.groups, "video": Group(44, ("ana",))})
    assert todo(wanted, found) == ["ana: is developer"]
    assert todo(wanted, replace(found, busy=frozenset({20_001}))) == [
        "ana: is developer", "ana: sessions ended, a key or a right was taken",
    ]  # fmt: skip


def test_a_key_that_is_taken_ends_sessions_and_one_that_is_added_does_not() -> None:
    wanted, found = settled(ANA)
    found = replace(found, busy=frozenset({20_001}))
    more = replace(ANA, keys=(*ANA.keys, "ssh-ed25519 AAAAmore"))
    assert todo(Described({"ana": more}, wanted.others), found) == ["ana: keys set"]
    other = replace(ANA, keys=("ssh-ed25519 AAAAother",))
    assert todo(Described({"ana": other}, wanted.others), found) == [
        "ana: keys set", "ana: sessions ended, a key or a right was taken",
    ]  # fmt: skip


def test_on_the_day_itself_keys_and_sessions_end_and_the_account_stays() -> None:
    wanted, found = settled(VIC)
    found = replace(found, busy=frozenset({20_002}))
    assert todo(wanted, found, date(2026, 12, 31)) == []
    assert todo(wanted, found, date(2027, 1, 1)) == [
        "vic: keys taken, the day has come", "vic: sessions ended, the day has come",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["cat", "video"])
def test_an_account_of_the_machines_own_is_never_taken(name: str) -> None:
    wanted, found = settled(ANA)
    (step,) = steps.needed(Described({**wanted.people, name: replace(ANA, name=name)}, wanted.others), found)
    assert step.what == f"{name}: cannot have this name"
    with pytest.raises(Refused) as refused:
        step.do()
    assert str(refused.value) == f"{name} is a name of this machine's own; choose another one in platform.yml"


def test_a_name_that_cannot_be_given_keeps_nobody_from_leaving_or_coming() -> None:
    wanted, found = settled(ANA, VIC)
    found = replace(found, keys={**found.keys, "cat": "ssh-ed25519 AAAAx\n"})
    zoe = {"cat": replace(ANA, name="cat"), "vic": replace(VIC, keys=("ssh-ed25519 AAAAnew",))}
    assert todo(Described(zoe, wanted.others), found) == [
        "ana: is out, home archived", "keys of cat: gone", "vic: keys set", "cat: cannot have this name",
    ]  # fmt: skip


def test_an_account_that_only_has_a_number_like_a_persons_is_nobodys_business() -> None:
    """On a machine that was there before, somebody may have a number of our range and a home elsewhere."""
    wanted, found = settled(ANA)
    other = Account(20_050, 20_050, "/home/carl", "/bin/bash", "$y$x", None)
    found = replace(found, accounts={**found.accounts, "carl": other})
    assert todo(wanted, found) == []
    named = Described({**wanted.people, "carl": replace(ANA, name="carl")}, wanted.others)
    assert todo(named, found) == ["carl: cannot have this name"]


def test_an_admin_no_more_loses_the_operators_account_first() -> None:
    ada = replace(ANA, role="admin")
    wanted, found = settled(ada)
    assert todo(Described({"ana": ANA}, wanted.others), found) == [
        "ana: keys taken from other accounts", "ana: is developer",
    ]  # fmt: skip


def test_the_keys_carry_the_day_for_sshd_itself() -> None:
    assert VIC.key_file().splitlines()[1] == 'expiry-time="20270101Z" ssh-ed25519 AAAAvic'


def test_a_number_is_the_same_everywhere_and_never_somebody_elses(tmp_path: Path) -> None:
    first = ledger.uid_for("ana", {}, set())
    assert first in UIDS
    assert first == ledger.uid_for("ana", {}, set())
    assert ledger.uid_for("ana", {}, {first}) == first + 1
    assert ledger.uid_for("ana", {"zoe": Line(first, "", "2026-01-01")}, set()) == first + 1
    assert ledger.uid_for("ana", {"ana": Line(25_000, "", "2026-01-01")}, {25_000}) == 25_000
    with pytest.raises(Refused):
        ledger.uid_for("ana", {}, set(UIDS))


def test_the_ledger_keeps_who_left(tmp_path: Path) -> None:
    book = tmp_path / "accounts.json"
    ledger.note("ana", 20_001, book)
    ledger.note_left("ana", book)
    assert ledger.read(book)["ana"].left
    assert book.stat().st_mode & 0o777 == 0o600
    ledger.note("ana", 20_001, book)
    assert ledger.read(book)["ana"] == Line(20_001, ledger.read(book)["ana"].came)


def test_a_key_goes_from_the_operators_account_too_but_never_its_last() -> None:
    (facts.KEYS / "ada").write_text("# h\nssh-ed25519 AAAAada ada\nssh-ed25519 AAAAtwo\n")
    (facts.KEYS / "hangar").write_text(
        '# h\nssh-ed25519 AAAAops ops\nexpiry-time="20270101Z" ssh-ed25519 AAAAada x\n'
    )
    (facts.KEYS / "last").write_text("ssh-ed25519 AAAAtwo\n")
    keys.take("ada")
    assert not (facts.KEYS / "ada").exists()
    assert (facts.KEYS / "hangar").read_text() == "# h\nssh-ed25519 AAAAops ops\n"
    assert (facts.KEYS / "last").read_text() == "ssh-ed25519 AAAAtwo\n"
    keys.take("ada")  # once more does no harm


@pytest.fixture
def own_homes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ledger, "HOMES", tmp_path / "homes")
    return ledger.HOMES


def test_a_home_is_archived_for_root_alone_and_links_are_not_followed(
    tmp_path: Path, own_homes: Path
) -> None:
    (own_homes / "ana").mkdir()
    (own_homes / "ana/work.txt").write_text("work")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").write_text("kept")
    (own_homes / "ana/link").symlink_to(outside)
    leaving.archive("ana")
    (archive,) = leaving.ARCHIVE.iterdir()
    assert archive.name == f"ana-{described.today():%Y%m%d}.tar"
    assert archive.stat().st_mode & 0o777 == 0o600
    assert leaving.ARCHIVE.stat().st_mode & 0o777 == 0o700
    with tarfile.open(archive) as packed:
        assert sorted(packed.getnames()) == ["ana", "ana/link", "ana/work.txt"]
    assert list(own_homes.iterdir()) == []
    assert (outside / "kept").read_text() == "kept"


def test_a_second_archive_of_a_day_replaces_nothing(own_homes: Path) -> None:
    for _ in range(2):
        (own_homes / "ana").mkdir()
        leaving.archive("ana")
    day = f"{described.today():%Y%m%d}"
    assert sorted(path.name for path in leaving.ARCHIVE.iterdir()) == [f"ana-{day}-2.tar", f"ana-{day}.tar"]


def test_a_home_that_cannot_be_archived_stays(
    own_homes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (own_homes / "ana").mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").write_text("#!/bin/sh\necho 'No space left on device' >&2\nexit 2\n")
    (tools / "tar").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    with pytest.raises(Refused) as refused:
        leaving.archive("ana")
    assert str(refused.value) == (
        f"ana is out, but the home {own_homes}/ana cannot be archived: No space left on device. "
        "Make room, then run again"
    )
    assert (own_homes / "ana").is_dir()
    assert list(leaving.ARCHIVE.iterdir()) == []


def test_whoever_leaves_stands_in_the_description_no_more(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    people = [{"name": name, "role": "viewer", "keys": ["k"], "expires": ""} for name in ("ana", "vic")]
    path.write_text(json.dumps({"people": people, "others": ["hangar"]}))
    path.chmod(0o600)
    described.forget("ana", path)
    assert [one["name"] for one in described.read(path)["people"]] == ["vic"]
    assert list(described.load(path).people) == ["vic"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_groups_of_the_roles_are_apart() -> None:
    assert set(GROUPS["viewer"]) & {"dags", "hangar-admins", "hangar-developers"} == set()
    assert "hangar-admins" not in GROUPS["developer"]


def test_nobody_waits_to_be_shut_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another call packs a large home; what ends somebody's access does not wait for it, what follows does."""
    took: list[str] = []
    _, found = settled(ANA)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(program, "REMOVAL_WAIT", 0.0)
    monkeypatch.setattr(described, "forget", lambda name: took.append(f"forget {name}"))
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", lambda name: took.append(f"shut {name} out"))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append(f"end {uid}"))
    monkeypatch.setattr(leaving, "leave", lambda name, uid: took.append(f"leave {uid}"))
    with program.alone(), pytest.raises(Refused) as refused:
        program.remove("ana")
    assert str(refused.value) == "another call is at work; wait for it"
    assert took == ["forget ana", "shut ana out", "end 20001"]
    assert program.remove("ana")["was_there"]
    assert took[-1] == "leave 20001"


def test_a_stranger_is_not_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a service, not an account of the machine's own: only who is or was one of the people."""
    _, found = settled(ANA)
    monkeypatch.setattr(described, "forget", lambda name: None)
    monkeypatch.setattr(facts, "gather", lambda: found)
    for name in ("cat", "root", "../ana"):
        assert not program.remove(name)["was_there"]


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (Refused("no"), "no"),
        (FileNotFoundError(2, "No such file", "/x"), "[Errno 2] No such file: '/x'"),
        (
            subprocess.CalledProcessError(8, ["usermod", "ana"], stderr="busy\n"),
            "usermod ana ended with 8: busy",
        ),
    ],
)
def test_one_who_cannot_be_helped_keeps_nobody_waiting(
    error: Exception, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    took: list[str] = []
    wanted = [steps.Step("ana: is out", failing(error)), steps.Step("vic: out", lambda: took.append("vic"))]
    monkeypatch.setattr(steps, "needed", lambda *_: wanted)
    monkeypatch.setattr(described, "load", lambda: None)
    monkeypatch.setattr(facts, "gather", lambda: None)
    monkeypatch.setattr(program, "_airflow", failing(Refused("Airflow's accounts: locked")))
    with pytest.raises(Refused) as refused:
        program.apply()
    assert str(refused.value) == f"{told}; Airflow's accounts: locked"
    assert took == ["vic"]
    assert capsys.readouterr().out == "vic: out\n"


def test_whoever_is_removed_leaves_whatever_becomes_of_airflow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    took: list[str] = []
    _, found = settled(ANA)
    monkeypatch.setattr(program, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(described, "forget", lambda name: None)
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", failing(OSError(28, "No space left on device")))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append("end"))
    monkeypatch.setattr(leaving, "leave", lambda name, uid: took.append("leave"))
    monkeypatch.setattr(program, "_airflow", failing(Refused("Airflow's accounts: locked")))
    with pytest.raises(Refused) as refused:
        program.remove("ana")
    assert str(refused.value) == "[Errno 28] No space left on device; Airflow's accounts: locked"
    assert took == ["end", "leave"]


def test_a_slice_that_goes_while_we_end_it_is_no_trouble(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "_members", lambda group: {1})
    monkeypatch.setattr(facts, "processes", dict)
    assert leaving._end_once(20_001) == {1}  # no such slice here: its cgroup.kill cannot be written


def test_a_shared_folder_at_work_keeps_nobody_from_being_cleared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "find").write_text("#!/bin/sh\necho 'No such file or directory' >&2\nexit 1\n")
    (tools / "find").chmod(0o755)
    monkeypatch.setenv("PATH", str(tools), prepend=":")
    monkeypatch.setattr(leaving, "SHARED", (tmp_path,))
    monkeypatch.setattr(leaving, "SPOOLS", ())
    monkeypatch.setattr(leaving, "AT_JOBS", tmp_path / "none")
    leaving.PASSWORDS.mkdir()
    leaving.clear("ana", 20_001)


def test_who_comes_in_is_decided_before_a_home_is_packed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The interlock's timer runs meanwhile: whatever takes long waits for the proof."""
    wanted, found = settled(ANA, VIC)
    took: list[str] = []
    monkeypatch.setattr(described, "load", lambda: replace(wanted, people={"ana": ANA}))
    monkeypatch.setattr(facts, "gather", lambda: replace(found, keys={"hangar": "ssh-ed25519 AAAAops\n"}))
    monkeypatch.setattr(leaving, "shut_out", lambda name: took.append(f"shut {name} out"))
    monkeypatch.setattr(leaving, "end", lambda name, uid: took.append(f"end {uid}"))
    monkeypatch.setattr(leaving, "archive", lambda name: took.append("pack"))
    monkeypatch.setattr(program, "_airflow", lambda verb: took.append("airflow") or [])
    monkeypatch.setattr(keys, "give", lambda person: took.append(f"keys of {person.name}"))
    assert program.admit() == ["ana: keys set"]
    assert took == ["shut vic out", "end 20002", "keys of ana"]


def test_what_does_not_work_is_told_by_admit_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, found = settled(ANA, VIC)
    monkeypatch.setattr(described, "load", lambda: replace(wanted, people={"ana": ANA}))
    monkeypatch.setattr(facts, "gather", lambda: found)
    monkeypatch.setattr(leaving, "shut_out", lambda name: None)

    def stays(name: str, uid: int) -> None:
        raise Refused(f"{name}: the processes [7] do not end; restart the machine")

    monkeypatch.setattr(leaving, "end", stays)
    with pytest.raises(Refused, match=r"vic: the processes \[7\] do not end"):
        program.admit()


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another owner are root's to make")
def test_what_whoever_leaves_wrote_last_is_shared_before_it_is_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody but root could read it, and the service that shares touches files of the group's members alone"""
    shared, drop = tmp_path / "dags", tmp_path / "drop"
    sharing, seen = tmp_path / "airflow-live", tmp_path / "seen"
    for path, owner in (
        (shared / "last.py", 20_001),
        (drop / "in" / "late.zip", 20_001),
        (drop / "bens.zip", 20_002),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
        os.chown(path, owner, 20_001)
    sharing.write_text(f"#!/bin/sh\necho $* $(stat -c %u {shared}/last.py) > {seen}\n")
    sharing.chmod(0o755)
    monkeypatch.setattr(leaving, "SHARED", (shared, drop, tmp_path / "not there"))
    monkeypatch.setattr(leaving, "SHARING", sharing)
    monkeypatch.setattr(leaving, "SPOOLS", ())
    monkeypatch.setattr(leaving, "SCRATCH", ())
    monkeypatch.setattr(leaving, "AT_JOBS", tmp_path / "none")
    leaving.PASSWORDS.mkdir()
    leaving.clear("ana", 20_001)
    assert seen.read_text() == "of 20001 20001\n", "while the files are theirs still"
    assert (shared / "last.py").stat().st_uid == 0
    assert [(drop / name).stat().st_uid for name in ("in/late.zip", "bens.zip")] == [0, 20_002]


def test_two_who_leave_at_once_are_both_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "people.json"
    people = [
        {"name": name, "role": "viewer", "keys": ["k"], "expires": ""} for name in ("ana", "vic", "zoe")
    ]
    path.write_text(json.dumps({"people": people, "others": []}))
    second = threading.Thread(target=described.forget, args=("vic", path))
    reading = described.read

    def slow(place: Path) -> dict[str, object]:
        found = reading(place)
        if threading.current_thread() is not second:
            second.start()
            second.join(0.3)  # it would be through by now, were it not for the lock
        return found

    monkeypatch.setattr(described, "read", slow)
    described.forget("ana", path)
    second.join()
    assert [one["name"] for one in reading(path)["people"]] == ["zoe"]
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".new")] == []


def test_two_may_write_the_same_file_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, syncing = tmp_path / "hangar", os.fsync

    def second(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", syncing)
        described.write(path, "second", 0o600)

    monkeypatch.setattr(os, "fsync", second)
    described.write(path, "first", 0o600)
    assert path.read_text() == "first"
    assert list(tmp_path.glob(".hangar*")) == []


def test_a_lock_in_airflows_database_ends_the_question(tmp_path: Path) -> None:
    """Whoever runs DAGs can lock its tables for as long as they like."""
    asked = tmp_path / "asked"
    (tmp_path / "as-service").write_text(f"#!/bin/sh\ncat > {asked}\nexec sleep 30\n")
    (tmp_path / "as-service").chmod(0o755)
    (tmp_path / "accounts.json").write_text('{"ana": {}}')
    text = render("airflow", "/usr/local/sbin/airflow-accounts")
    text = text.replace("PATIENCE = 60\n", "PATIENCE = 1\n").replace("/srv/people/", f"{tmp_path}/")
    text = text.replace("/etc/hangar/people.json", f"{tmp_path}/none")
    path = f"{tmp_path}:{os.environ['PATH']}"
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", text, "apply"],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    assert time.monotonic() - begun < 15
    assert (done.returncode, done.stderr) == (
        1, "airflow-accounts: Airflow's database does not answer within 1 s; the next call tries again\n",
    )  # fmt: skip
    assert asked.read_text().startswith("set lock_timeout = '20s'; set statement_timeout = '40s';\n")
