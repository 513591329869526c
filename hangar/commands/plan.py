"""plan: show what `up` would change, and change nothing."""

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from hangar import console
from hangar.commands import _flags

if TYPE_CHECKING:
    from hangar.config import Config
    from hangar.plan import Plan
    from hangar.playbook import Recap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _flags.exit_code(parser)


def run(args: argparse.Namespace) -> int:
    from hangar import config, pipeline
    from hangar.people import forgotten
    from hangar.report import show_plan

    settings = config.load(args.environment, args.overrides)
    forgotten.warn(settings)
    plan, recap = pipeline.plan(settings)
    show_plan(plan)
    show_engine(settings)
    show_recap(recap)
    if args.json:
        console.json(as_data(plan, recap))
    changed = plan.has_changes or recap is None or recap.changed > 0
    console.say(f"Make it so: {_next(plan, args.environment)}" if changed else "Nothing to do.")
    return _flags.CHANGES_FOUND if changed and args.exit_code else 0


def _next(plan: "Plan", environment: str) -> str:
    """The command that does what the plan says; `up` alone throws no guarded machine away."""
    allowed = " --allow-replace" if plan.guarded and plan.replaces else ""
    return f"./provision.py up {environment}{allowed}"


def show_engine(settings: "Config") -> None:
    """Which of Airbyte's two engines the machine gets, where nobody chose. A local container always gets the same."""
    if settings.airbyte.enabled and settings.airbyte.engine is None and settings.cloud != "container":
        name = "the platform by abctl" if settings.airbyte_engine == "abctl" else "the embedded engine"
        console.say(f"  Airbyte: {name} ({settings.airbyte_choice})")


def show_recap(recap: "Recap | None") -> None:
    """The tasks that would change something; the differences in full are in the log."""
    if recap is None:
        console.say("? on the machine: Ansible can say once it runs")
        return
    sign, style = ("~", "yellow") if recap.changed else ("=", "")
    console.say(f"{sign} on the machine: {_changes(recap.changed)}", style)
    for task in recap.changes:
        console.say(f"    {task.title}")
    if recap.changed:
        console.say(f"  Line by line: {recap.log}")


def _changes(count: int) -> str:
    return (
        "no change"
        if count == 0
        else "1 task would change it"
        if count == 1
        else f"{count} tasks would change it"
    )


def as_data(plan: "Plan", recap: "Recap | None") -> dict[str, object]:
    """`cost` and `drift` are there where the cloud knows of such."""
    data: dict[str, object] = {
        "machine": [asdict(change) for change in plan.changes],
        "playbook": None if recap is None else _as_data(recap),
    }
    if plan.cost:
        data["cost"] = asdict(plan.cost)
    if plan.guarded:
        data["drift"] = list(plan.drift)
    return data


def _as_data(recap: "Recap") -> dict[str, object]:
    return {
        "changed": recap.changed,
        "tasks": [{"role": task.role, "name": task.name} for task in recap.changes],
        "log": str(recap.log),
    }
