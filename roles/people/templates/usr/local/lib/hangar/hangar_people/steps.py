# Written by Hangar (role people). Changes made here are lost at the next run.
"""From what is true to what is wanted: the steps that are needed, none when nothing is. Those who leave come first."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from functools import partial

from . import accounts, facts, keys, leaving, ledger
from .described import ADMINS, ALL_GROUPS, AUTHORS, Described, Person, Refused, today
from .facts import Account, Facts
from .ledger import UIDS, Line


@dataclass(frozen=True)
class Step:
    """`what` is for people, `do` does it; `first` is the part that decides who comes in, where the rest takes long."""

    what: str
    do: Callable[[], None]
    first: Callable[[], None] | None = None


def needed(described: Described, found: Facts, day: date | None = None) -> list[Step]:
    """Every step, in their order. One who cannot have the name that was chosen is a step too, and it fails."""
    day = day or today()
    refused = list(_strangers(described, found))
    wanted = replace(
        described, people={name: one for name, one in described.people.items() if name not in refused}
    )
    uids = _numbers(wanted, found)
    return [
        *_leavers(described, found),
        *_stray_keys(wanted, found),
        *_groups(wanted, found),
        *(step for name, person in wanted.people.items() for step in _person(person, uids[name], found, day)),
        *(Step(f"{name}: cannot have this name", partial(_refuse, name)) for name in refused),
    ]


def _numbers(described: Described, found: Facts) -> dict[str, int]:
    """Everybody's number, no two of them the same."""
    taken = {account.uid for account in found.accounts.values()}
    uids = {}
    for name in described.people:
        account = found.accounts.get(name)
        uids[name] = account.uid if account else ledger.uid_for(name, found.ledger, taken)
        taken.add(uids[name])
    return uids


def _strangers(described: Described, found: Facts) -> Iterator[str]:
    """Names of the machine's own: its account must not become a person's."""
    for name in described.people:
        account, group = found.accounts.get(name), found.groups.get(name)
        if (account and name not in found.people) or (group and group.gid not in UIDS):
            yield name


def _refuse(name: str) -> None:
    raise Refused(f"{name} is a name of this machine's own; choose another one in platform.yml")


def _leavers(described: Described, found: Facts) -> Iterator[Step]:
    """Whoever has an account or a line in the ledger without a day of leaving, and is not described."""
    there = {name: line.uid for name, line in found.ledger.items() if not line.left} | found.people
    for name, uid in sorted(there.items()):
        if name not in described.people:
            yield Step(
                f"{name}: is out, home archived",
                partial(leaving.leave, name, uid),
                first=partial(leaving.bar, name, uid),
            )


def _stray_keys(described: Described, found: Facts) -> Iterator[Step]:
    if described.others is None:
        return
    for name in sorted(set(found.keys) - set(described.people) - set(described.others)):
        # A person who leaves takes theirs along, and the trace of them in other files.
        if name not in found.people and not (name in found.ledger and not found.ledger[name].left):
            yield Step(f"keys of {name}: gone", (facts.KEYS / name).unlink)


def _groups(described: Described, found: Facts) -> Iterator[Step]:
    for group in ALL_GROUPS:
        if group not in found.groups:
            yield Step(f"group {group}: made", partial(accounts.make_group, group))
            continue
        for member in found.groups[group].members:
            stranger = member not in described.people and member not in (described.others or ())
            if stranger and member not in found.people and described.others is not None:
                yield Step(f"{member}: no longer in {group}", partial(accounts.leave_group, member, group))


def _person(person: Person, uid: int, found: Facts, day: date) -> Iterator[Step]:
    name, account = person.name, found.accounts.get(person.name)
    if account is None:
        yield Step(f"{name}: account {uid} made", partial(accounts.make, person, uid))
    elif found.ledger.get(name, Line(0, "")) != Line(uid, getattr(found.ledger.get(name), "came", "")):
        yield Step(f"{name}: written down", partial(ledger.note, name, uid))
    if account and not _is_right(person, account, uid):
        yield Step(f"{name}: account put right", partial(accounts.repair, person, uid))
    if name not in found.homes:
        yield Step(f"{name}: home made", partial(accounts.make_home, name, uid))
    elif found.homes[name] != uid:
        yield Step(f"{name}: home given back", partial(accounts.own_home, name, uid))
    if ADMINS in found.groups_of(name) - set(person.groups):
        yield Step(f"{name}: keys taken from other accounts", partial(keys.take_elsewhere, name))
    if found.groups_of(name) != set(person.groups):
        is_author_no_more = AUTHORS in found.groups_of(name) - set(person.groups)
        change = (
            partial(leaving.withdraw, person, uid)
            if is_author_no_more
            else partial(accounts.set_groups, person)
        )
        yield Step(f"{name}: is {person.role}", change)
    yield from _keys(person, found, day)
    yield from _sessions(person, uid, found, day)


def _is_right(person: Person, account: Account, uid: int) -> bool:
    home, expires = str(ledger.HOMES / person.name), accounts.expiry_days(person)
    wanted = (uid, home, accounts.SHELL, accounts.NO_PASSWORD, expires)
    return (account.gid, account.home, account.shell, account.password, account.expires) == wanted


def _keys(person: Person, found: Facts, day: date) -> Iterator[Step]:
    if person.is_out(day):
        if person.name in found.keys:
            yield Step(f"{person.name}: keys taken, the day has come", partial(keys.take, person.name))
    elif found.keys.get(person.name) != person.key_file():
        yield Step(f"{person.name}: keys set", partial(keys.give, person))


def _sessions(person: Person, uid: int, found: Facts, day: date) -> Iterator[Step]:
    """What runs keeps the rights that it began with, so it ends when one of them is taken."""
    name = person.name
    lost_rights = found.groups_of(name) - set(person.groups)
    lost_keys = set(keys.blobs(found.keys.get(name, ""))) - set(keys.blobs(person.key_file()))
    if person.is_out(day):
        if name in found.lingering or uid in found.busy:
            yield Step(f"{name}: sessions ended, the day has come", partial(leaving.end, name, uid))
    elif uid in found.busy and (lost_rights or lost_keys):
        yield Step(f"{name}: sessions ended, a key or a right was taken", partial(leaving.end, name, uid))
