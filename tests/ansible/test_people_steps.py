"""What the program `people` finds to be done, in which order, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hangar_people import accounts, leaving, ledger, steps
from hangar_people.described import ALL_GROUPS, GROUPS, Described, Refused
from hangar_people.facts import Account, Facts, Group
from hangar_people.ledger import UIDS, Line

from tests.ansible.staff import ANA, TODAY, VIC, settled
from tests.ansible.staff import own_folders as own_folders


def todo(wanted: Described, found: Facts, day: date = TODAY) -> list[str]:
    return [step.what for step in steps.needed(wanted, found, day)]


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


def test_the_right_to_write_dags_is_taken_whole() -> None:
    """And nothing but groups changes where it stays"""
    wanted, found = settled(ANA)
    for role, does in (("viewer", leaving.withdraw), ("admin", accounts.set_groups)):
        other = Described({"ana": replace(ANA, role=role)}, wanted.others)
        (step,) = steps.needed(other, found)
        assert step.what == f"ana: is {role}"
        assert step.do.func is does


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


def test_the_groups_of_the_roles_are_apart() -> None:
    assert set(GROUPS["viewer"]) & {"dags", "hangar-admins", "hangar-developers"} == set()
    assert "hangar-admins" not in GROUPS["developer"]
