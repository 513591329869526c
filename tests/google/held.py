"""What an operation does to a real machine: it is held until that is done, and fails where that fails."""

import sys
from collections.abc import Callable
from typing import Any

from tests.google.background import told
from tests.google.world import World

DONE = "machine done"


def held(world: World, operation: dict[str, Any], work: Callable[[], Any]) -> bool:
    """Whether the operation's effect must wait. The effect is called again when `work` is done."""
    if world.machines is None or world.background is None or operation["_work"].get(DONE):
        return False
    operation["_held"] = True

    def done(_: Any, error: Exception | None) -> None:
        operation["_held"] = False
        operation["_work"][DONE] = True
        if error:
            operation["_error"] = ["INTERNAL_ERROR", told(error), []]
        world.state.save()

    world.background.run(work, done)
    return True


def later(world: World, work: Callable[[], Any]) -> None:
    """Cleans up behind a machine; nobody waits for it."""
    if world.background is None:
        return

    def done(_: Any, error: Exception | None) -> None:
        if error:
            print(f"clean-up failed: {told(error)}", file=sys.stderr, flush=True)

    world.background.run(work, done)


def handle(path: str, resource: dict[str, Any]) -> str:
    """A resource's name for its machine or volume: another one of the same path is another one."""
    return f"{path}#{resource['id']}"
