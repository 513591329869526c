"""The plan of an upgrade for people and for programs."""

from dataclasses import asdict
from typing import Any

from hangar import console
from hangar.upgrade.records import Group, Item, Plan

SHOWN = 12
"""How many things of a group are named; the rest is a number."""


def show(plan: Plan) -> None:
    """What would change, group by group; then what speaks against it."""
    if plan.cut:
        console.say(f"~ the upgrade of {plan.cut.since} that was cut short goes on", "yellow")
    for group in plan.groups:
        _show(group)
    for note in plan.notes:
        console.say(f"= {note}")
    for warning in plan.warnings:
        console.say(f"! {warning}", "bold yellow")
    for number, line in enumerate(plan.way_back):
        console.say(f"! {line}" if number == 0 else f"    {line}", "bold yellow")
    for refusal in plan.refusals:
        console.say(f"✗ {refusal.text}", "bold red")
        console.say(f"    {refusal.cure}")


def _show(group: Group) -> None:
    line = f"~ {group.title}: {_count(group)}"
    console.say(f"{line}  ({group.effect})" if group.effect else line, "yellow")
    named = [item for item in group.items if not group.chief or item.name in group.chief][:SHOWN]
    for item in named:
        console.say(f"    {words(item)}")
    if left := len(group.items) - len(named):
        console.say(f"    and {left} more (all of them: --json)")


def _count(group: Group) -> str:
    return "1 change" if len(group.items) == 1 else f"{len(group.items)} changes"


def words(item: Item) -> str:
    """`name: old → new`."""
    return f"{item.name}: {item.old or 'new'} → {item.new or 'gone'}"


def as_data(plan: Plan) -> dict[str, Any]:
    """The whole plan."""
    return {"changes": plan.has_changes, "drains": plan.needs_drain, **asdict(plan)}
