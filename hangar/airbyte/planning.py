"""Pure: what the files want, what Airbyte holds and what is ours → the steps from one to the other."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from hangar.airbyte.records import Found, Step, Wanted, World
from hangar.airbyte.wanted import words
from hangar.errors import HangarError

PROBE = "hangar-probe "
"""What stands before the name of a resource that is made to be checked and removed; no declared name has a blank."""

ABSENT = "—"
MASKED = re.compile(r"\*{3,}")
"""How Airbyte shows the value of an option that its connector calls a secret."""

Secrets = Mapping[str, Mapping[str, str]]
"""`kind/name` → field → same, changed or missing."""


def plan(wanted: Sequence[Wanted], world: World, secrets: Secrets) -> tuple[Step, ...]:
    """The steps, one for each resource that is wanted or ours, those that change nothing included.

    Raises:
        HangarError: something that was not made from the files stands in the way.
    """
    kept: dict[str, str] = {}
    steps = []
    for one in wanted:
        step = _step(one, world, secrets, kept)
        if step.found and step.action in ("nothing", "update", "adopt"):
            kept[one.key] = step.found.id
        steps.append(step)
    keys = {one.key for one in wanted}
    steps += [
        Step(one.kind, one.name, "delete", found=one)
        for one in _all_ours(world)
        if f"{one.kind}/{one.name}" not in keys
    ]
    _require_no_strangers(steps, world)
    return tuple(steps)


def _all_ours(world: World) -> list[Found]:
    found = []
    for key in world.entries:
        kind, _, name = key.partition("/")
        one = world.ours(kind, name)  # type: ignore[arg-type]  # the record's keys begin with a kind
        if one and not name.startswith(PROBE):
            found.append(Found(one.kind, name, one.id, one.fixed, one.fields))
    # What moves data goes first, then what it moved between.
    return sorted(found, key=lambda one: one.kind != "connection")


def _step(one: Wanted, world: World, secrets: Secrets, kept: Mapping[str, str]) -> Step:
    found = world.ours(one.kind, one.name)
    adopted = False
    if found is None:
        others = world.named(one.kind, one.name)
        if not others:
            return Step(one.kind, one.name, "create", wanted=one, detail=_of(one))
        found, adopted = _only(one, others), True
    fixed = _fixed(one, found, world, kept)
    if fixed and adopted:
        raise _in_the_way(one, fixed)
    if fixed:
        return Step(one.kind, one.name, "replace", fixed, found, one)
    fields = _fields(one, found, world, secrets)
    action = "adopt" if adopted else "update" if fields else "nothing"
    return Step(one.kind, one.name, action, fields, found, one)  # type: ignore[arg-type]  # one of three literals


def _of(one: Wanted) -> str:
    return " → ".join(one.fixed.values())


def _only(one: Wanted, others: Sequence[Found]) -> Found:
    if len(others) == 1:
        return others[0]
    raise HangarError(
        f"Airbyte has {len(others)} {one.kind}s called {one.name}, and none was made from the files.",
        "\n".join(f"* {other.id}" for other in others),
        "Rename or remove all but one of them in Airbyte, or give this one another name.",
    )


def _in_the_way(one: Wanted, fixed: Sequence[tuple[str, str, str]]) -> HangarError:
    return HangarError(
        f"Airbyte has another {one.kind} called {one.name}, which was not made from the files.",
        "\n".join(f"* {name}: {old} there, {new} here" for name, old, new in fixed),
        "Rename or remove it in Airbyte, or give this one another name.",
    )


def _fixed(
    one: Wanted, found: Found, world: World, kept: Mapping[str, str]
) -> tuple[tuple[str, str, str], ...]:
    """What differs and cannot be changed in place."""
    if one.kind != "connection":
        old, new = found.fixed["connector"], one.fixed["connector"]
        return (("connector", old, new),) if old != new else ()
    differs = []
    for kind in ("source", "destination"):
        id, name = found.fixed[kind], one.fixed[kind]
        if id != kept.get(f"{kind}/{name}"):
            end = world.by_id(kind, id)
            old = end.name if end else ABSENT
            differs.append((kind, old, name if old != name else f"{name}, made anew"))
    return tuple(differs)


def _fields(one: Wanted, found: Found, world: World, secrets: Secrets) -> tuple[tuple[str, str, str], ...]:
    entry = world.entries.get(one.key)
    last = entry.declared if entry else {}
    # Whoever starts a connection knows it by its name, which somebody may have changed in Airbyte.
    differs = [("name", found.name, one.name)] if found.name != one.name else []
    for field, value in one.fields.items():
        old = found.fields.get(field)
        if field in one.references:
            differs += _secret(one, field, last, secrets, known=field in found.fields)
        elif not _same(old, value) and not (_is_masked(old) and last.get(field) == value):
            differs.append((field, words(old) if field in found.fields else ABSENT, words(value)))
    gone = [field for field in found.fields if field not in one.fields and _is_ours(field, last, one)]
    return tuple(differs + [(field, words(found.fields[field]), ABSENT) for field in gone])


def _same(old: Any, new: Any) -> bool:
    """JSON's equality: true is not 1."""
    return bool(old == new) and isinstance(old, bool) == isinstance(new, bool)


def _is_masked(value: Any) -> bool:
    return isinstance(value, str) and bool(MASKED.fullmatch(value))


def _secret(
    one: Wanted, field: str, last: Mapping[str, Any], secrets: Secrets, *, known: bool
) -> list[tuple[str, str, str]]:
    new = words(one.fields[field])
    before = last.get(field)
    if before != one.fields[field]:
        old = words(before) if isinstance(before, dict) else "a value of its own" if known else ABSENT
        return [(field, old, new)]
    if secrets.get(one.key, {}).get(field) != "same":
        return [(field, new, f"{new}, whose value has changed")]
    return [] if known else [(field, ABSENT, new)]


def _is_ours(field: str, last: Mapping[str, Any], one: Wanted) -> bool:
    """Whether what the files do not say (any more) goes: what they said last, and streams that they do not name.
    The rest are defaults that Airbyte filled in.
    """
    if field in last:
        return True
    named = {other.rpartition(".")[0] for other in one.fields if other.startswith("streams.")}
    return field.endswith(".sync_mode") and field.rpartition(".")[0] not in named


def _require_no_strangers(steps: Sequence[Step], world: World) -> None:
    """Removing a source takes the connections that use it along; those of others must not go so."""
    going = {step.found.id: step for step in steps if step.found and step.action in ("delete", "replace")}
    ours = {step.found.id for step in steps if step.found}
    for one in world.found:
        used = [going[id] for id in one.fixed.values() if id in going]
        if one.kind == "connection" and one.id not in ours and used and not one.name.startswith(PROBE):
            raise HangarError(
                f"The connection {one.name}, which was not made from the files, uses the {used[0].kind} "
                f"{used[0].name}, which is to be removed.",
                f"* {one.id}",
                f"Remove that connection in Airbyte first, or keep the {used[0].kind} {used[0].name}.",
            )
