"""A client of the Debug Adapter Protocol, as far as VS Code speaks it when somebody presses F5.

None of the libraries is a client alone: debugpy's own lives in its test suite.
"""

from __future__ import annotations

import itertools
import json
import queue
import subprocess
import threading
from collections.abc import Callable
from typing import Any

ANSWERS = 60
"""Seconds for one answer of the adapter: it starts Python, and imports nothing large."""

Message = dict[str, Any]


class Adapter:
    """A debug adapter that runs somewhere, spoken to through its standard input and output."""

    def __init__(self, argv: list[str], run_in_terminal: Callable[[Message], None]) -> None:
        """`run_in_terminal` gets what the adapter wants started: `args`, `cwd`, `env`."""
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        self._run_in_terminal = run_in_terminal
        self._numbers = itertools.count(1)
        self._answers: dict[int, queue.Queue[Message]] = {}
        self._events: queue.Queue[Message] = queue.Queue()
        self.said: list[Message] = []
        """The events that nobody waited for, oldest first."""
        threading.Thread(target=self._listen, daemon=True).start()

    def begin(self, command: str, **arguments: Any) -> Callable[[float], Message]:
        """Ask, and get the answer later: `launch` is answered after the breakpoints were set."""
        number = next(self._numbers)
        self._answers[number] = queue.Queue()
        self._send({"seq": number, "type": "request", "command": command, "arguments": arguments})

        def answer(seconds: float = ANSWERS) -> Message:
            found = self._answers[number].get(timeout=seconds)
            assert found["success"], found
            return dict(found.get("body") or {})

        return answer

    def ask(self, command: str, **arguments: Any) -> Message:
        return self.begin(command, **arguments)(ANSWERS)

    def wait(self, event: str, seconds: float = ANSWERS) -> Message:
        """The body of the next event of this name."""
        while True:
            try:
                found = self._events.get(timeout=seconds)
            except queue.Empty:
                raise AssertionError(f"no event {event}: {self.said[-5:]}") from None
            if found["event"] == event:
                return dict(found.get("body") or {})
            self.said.append(found)

    def close(self) -> None:
        self._process.terminate()
        self._process.communicate(timeout=30)

    def _send(self, message: Message) -> None:
        body = json.dumps(message).encode()
        assert self._process.stdin
        self._process.stdin.write(b"Content-Length: %d\r\n\r\n" % len(body) + body)
        self._process.stdin.flush()

    def _listen(self) -> None:
        output = self._process.stdout
        assert output
        while line := output.readline():
            name, _, value = line.partition(b":")
            assert name == b"Content-Length", line
            assert output.readline() == b"\r\n"
            message = json.loads(output.read(int(value)))
            if message["type"] == "response":
                self._answers[message["request_seq"]].put(message)
            elif message["type"] == "event":
                self._events.put(message)
            else:
                self._obey(message)

    def _obey(self, message: Message) -> None:
        done = message["command"] == "runInTerminal"
        if done:
            self._run_in_terminal(message["arguments"])
        self._send(
            {"seq": next(self._numbers), "type": "response", "request_seq": message["seq"], "success": done,
             "command": message["command"], "body": {}}
        )  # fmt: skip
