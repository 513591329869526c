"""People on a machine on which all is as described, in folders of the test's own."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hangar_people import accounts, described, facts, leaving, ledger, sessions
from hangar_people.described import ALL_GROUPS, Described, Person
from hangar_people.facts import Account, Facts, Group
from hangar_people.ledger import Line

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


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this computer's is touched; homes have the names that they have on a machine."""
    for module, name in (
        (ledger, "LEDGER"), (facts, "KEYS"), (facts, "LINGER"), (leaving, "ARCHIVE"), (leaving, "PASSWORDS"),
        (leaving, "SLICES"), (described, "DESCRIPTION"), (described, "LOCK"),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, tmp_path / name.lower())
    monkeypatch.setattr(ledger, "HOMES", Path("/srv/people/home"))
    monkeypatch.setattr(sessions, "processes", dict)  # nobody is on this machine
    facts.KEYS.mkdir()
