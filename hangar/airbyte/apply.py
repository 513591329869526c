"""Steps → Airbyte, in the order that keeps every moment right: from what a killed call leaves, the next goes on."""

from collections.abc import Sequence

from hangar.airbyte.client import Client
from hangar.airbyte.records import Step, World
from hangar.progress import Counting


def apply(steps: Sequence[Step], world: World, client: Client, report: Counting) -> None:
    """Makes it so. What goes goes first, connections before their ends; what comes comes ends first.

    Raises:
        AirbyteRefused, HangarError: a step failed; those before it are done, and the same command goes on from there.
    """
    going = [step for step in steps if step.action in ("delete", "replace")]
    going.sort(key=lambda step: step.kind != "connection")
    coming = [step for step in steps if step.action in ("create", "adopt", "update", "replace")]
    total = len(going) + len(coming)
    for number, step in enumerate(going, 1):
        report(f"remove the {step.kind} {step.name}", number, total)
        assert step.found
        client.delete(step.kind, step.name, step.found.id)
    ids = {
        f"{step.kind}/{step.name}": step.found.id for step in steps if step.found and step.action != "replace"
    }
    for number, step in enumerate(coming, len(going) + 1):
        report(f"{step.action} the {step.kind} {step.name}", number, total)
        ids[f"{step.kind}/{step.name}"] = _bring(step, world, client, ids)


def _bring(step: Step, world: World, client: Client, ids: dict[str, str]) -> str:
    """Makes or changes one resource; returns its id."""
    assert step.wanted
    if step.action in ("create", "replace"):
        before = [one.id for one in world.named(step.kind, step.name)]
        ends = {}
        if step.kind == "connection":
            ends = {f"{kind}Id": ids[f"{kind}/{name}"] for kind, name in step.wanted.fixed.items()}
        return client.create(step.wanted, step.name, before, ends)
    assert step.found
    if step.action == "adopt":
        client.note(step.kind, step.name, step.found.id)
    client.update(step.wanted, step.found.id)
    return step.found.id
