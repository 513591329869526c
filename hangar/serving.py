"""The machine's end of a conversation: one JSON request a line, one line of JSON for an answer.

It travels to the machine with each agent (`hangar.agents`), where Python's standard library is all there is.
"""

import contextlib
import json
import sys
from collections.abc import Collection
from typing import Any, Protocol


class Refusal(Exception):
    """An answer that is an error: `kind` is for the program at the other end, the rest for people."""

    def __init__(self, kind: str, text: str, **more: Any) -> None:
        super().__init__(text)
        self.answer = {"kind": kind, "text": text, **more}


class Answering(Protocol):
    """An agent: a line in, what goes out as a line."""

    def answer(self, line: str) -> dict[str, Any]: ...


def answered(agent: object, operations: Collection[str], line: str) -> dict[str, Any]:
    """What the method named in the request's `op` returns, or why there is none. Other methods cannot be called."""
    try:
        request = json.loads(line)
        operation = request.pop("op")
        if operation not in operations:
            raise Refusal("defect", f"there is no operation {operation}")
        return {"ok": getattr(agent, operation)(**request)}
    except Refusal as refusal:
        return {"error": refusal.answer}
    except Exception as error:
        # Whatever else goes wrong here is told at the other end too, instead of a broken line.
        return {"error": {"kind": "defect", "text": f"{type(error).__name__}: {error}"}}


def serve(agent: Answering) -> None:
    """Serves whoever started us until they are gone."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        for line in sys.stdin:
            sys.stdout.write(json.dumps(agent.answer(line)) + "\n")
            sys.stdout.flush()
