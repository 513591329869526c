"""Pure: what others did beside Hangar. What the last `up` wanted tells a setting's change from a hand's."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from hangar.cloud.gcp import secrets, views
from hangar.cloud.gcp.comparison import existing_views
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import APPLIED, DENY, OPERATOR, Wanted

Body = dict[str, Any]


def by_hand(wanted: Wanted, existing: Existing) -> tuple[str, ...]:
    """What differs from what the last `up` wanted, and what is there that nobody wanted."""
    instance = existing.instance
    if instance is None:
        return (*_gone(wanted, existing), *openings(wanted, existing))
    unseen = {secrets.named(one): one for one in existing.unseen}
    applied = views.unpack(views.metadata(instance).get(APPLIED, ""))
    there = existing_views(wanted, existing)
    found = []
    for what, view in applied.items():
        if what in unseen:
            continue
        now = there.get(what)
        if now is None:
            found.append(f"{what} is gone")
            continue
        found += [
            f"{what}: {name}: {old} → {views.short(now.get(name, views.NONE))}"
            for name, old in view.items()
            if views.short(now.get(name, views.NONE)) != old
        ]
    others = sorted(set(views.metadata(instance)) - views.OURS)
    if others:
        found.append(f"machine {wanted.names.machine}: more metadata: {', '.join(others)} (it stays)")
    return (
        *found,
        *(secrets.may_still(wanted.names, one) for one in existing.unseen),
        *_end(wanted, existing),
        *openings(wanted, existing),
    )


def _gone(wanted: Wanted, existing: Existing) -> tuple[str, ...]:
    """A machine that somebody deleted, or whose making Google gave up late: both leave the disk detached. `destroy`
    would have taken the firewall rules along, and those of an `up` since then are younger.
    """
    disk = existing.data_disk or {}
    left = disk.get("lastDetachTimestamp") or disk.get("lastAttachTimestamp")
    if not left or disk.get("users"):
        return ()
    last = datetime.fromisoformat(left)
    rules = existing.firewalls.values()
    if not any(datetime.fromisoformat(rule["creationTimestamp"]) < last for rule in rules):
        return ()
    return (
        f"machine {wanted.names.machine} is gone: its data disk was at one until"
        f" {last.astimezone(UTC):%Y-%m-%d %H:%M} UTC, and then somebody deleted it or Google gave it up"
        " (`up` makes a new machine around the disk)",
    )


def _end(wanted: Wanted, existing: Existing) -> tuple[str, ...]:
    """A time at which Google ends the machine. Google's library cannot take one back: a person has to."""
    schedule = (existing.instance or {}).get("scheduling") or {}
    if not (schedule.get("maxRunDuration") or schedule.get("terminationTime")):
        return ()
    after = (schedule.get("maxRunDuration") or {}).get("seconds")
    when = f"at {schedule['terminationTime']}" if schedule.get("terminationTime") else f"after {after} s"
    how = "deletes" if schedule.get("instanceTerminationAction") == "DELETE" else "stops"
    machine = wanted.names.machine
    return (
        f"machine {machine}: Google {how} it {when} (it stays so: take its time limit away in the console)",
    )


def openings(wanted: Wanted, existing: Existing) -> tuple[str, ...]:
    """Rules of others that let somebody reach the machine: stronger than ours that denies all the rest. They are named
    and left alone.
    """
    tags = set(((existing.instance or {}).get("tags") or {}).get("items") or ())
    return tuple(
        f"firewall rule {rule['name']} admits {view['admits']} from {_whence(view)} to the machine"
        " (it stays: Hangar did not make it)"
        for rule in existing.others_rules
        if _reaches(rule, wanted.names.email, tags)
        for view in [views.firewall(rule)]
    )


def _reaches(rule: Body, account: str, tags: set[str]) -> bool:
    """Whether it admits anybody to a machine of this account and with these tags."""
    admits = (
        rule.get("direction", "INGRESS") == "INGRESS" and rule.get("allowed") and not rule.get("disabled")
    )
    if not admits or int(rule.get("priority", 1000)) >= DENY:  # of two equals the one that denies wins
        return False
    accounts, tagged = rule.get("targetServiceAccounts") or (), rule.get("targetTags") or ()
    return not (accounts or tagged) or account in accounts or not tags.isdisjoint(tagged)


def _whence(view: views.View) -> str:
    kinds = {"from": "", "from accounts": "account ", "from tags": "tag "}
    given = [f"{kind}{view[name]}" for name, kind in kinds.items() if view[name] != views.NONE]
    return ", ".join(given) or "anywhere"


def another_operator(existing: Existing, public_key: str, admins: Iterable[str]) -> str:
    """A hint for whoever's key may not be admitted: another made the machine, and no key of an admin is this one."""
    recorded = views.metadata(existing.instance).get(OPERATOR, "") if existing.instance else ""
    if not recorded or not public_key:
        return ""
    if _key(public_key) in {_key(line) for line in (recorded, *admins)}:
        return ""
    return (
        f"the machine was made with another operator's key (…{_key(recorded)[-12:]}), and yours"
        f" (…{_key(public_key)[-12:]}) is no admin's in `people`: it may not admit you."
    )


def _key(line: str) -> str:
    """The key of a line `type key comment`."""
    return line.split()[1]
