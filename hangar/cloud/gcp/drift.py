"""Pure: what others did beside Hangar. What the last `up` wanted tells a setting's change from a hand's."""

from collections.abc import Iterable

from hangar.cloud.gcp import views
from hangar.cloud.gcp.comparison import existing_views
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import APPLIED, OPERATOR, Wanted


def by_hand(wanted: Wanted, existing: Existing) -> tuple[str, ...]:
    """What differs from what the last `up` wanted, and what is there that nobody wanted."""
    instance = existing.instance
    if instance is None:
        return ()
    applied = views.unpack(views.metadata(instance).get(APPLIED, ""))
    there = existing_views(wanted, existing)
    found = []
    for what, view in applied.items():
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
    return tuple(found)


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
