"""A plan on the terminal: one line a resource, below it what changes, then the cost and what was changed by hand."""

from hangar import console
from hangar.plan import Change, Cost, Plan

SIGNS = {"create": "+", "update": "~", "restart": "!", "replace": "±", "delete": "-", "nothing": "="}
STYLES = {
    "create": "green",
    "update": "yellow",
    "restart": "bold yellow",
    "replace": "bold red",
    "delete": "red",
    "nothing": "",
}
WORDS = {"restart": "update with a stop", "nothing": "no change"}


def show_plan(plan: Plan) -> None:
    """The whole plan for a person."""
    for change in plan.changes:
        _show_change(change)
    for one in plan.drift:
        console.say(f"! changed by hand: {one}", "yellow")
    if plan.cost:
        console.say(cost_line(plan.cost))


def _show_change(change: Change) -> None:
    line = f"{SIGNS[change.action]} {change.resource}: {WORDS.get(change.action, change.action)}"
    console.say(f"{line}  ({change.detail})" if change.detail else line, STYLES[change.action])
    for name, old, new in change.fields:
        console.say(f"    {name}: {old} → {new}")


def cost_line(cost: Cost) -> str:
    """What it costs a month, before and after where that differs. What has no sum is not called cheap."""
    if cost.after is None and cost.before is None:
        return f"Cost: not known ({cost.note})"
    if cost.after is None:
        return f"Cost: about {cost.before:.2f} {cost.currency} a month → not known ({cost.note})"
    after = f"{cost.after:.2f} {cost.currency} a month"
    if cost.unpriced_before:
        return f"Cost: not known → about {after} ({cost.note})"
    if cost.before is None or round(cost.before, 2) == round(cost.after, 2):
        return f"Cost: about {after} ({cost.note})"
    return f"Cost: about {cost.before:.2f} → {after} ({cost.note})"
