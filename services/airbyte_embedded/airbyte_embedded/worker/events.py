"""What a job's process tells the service: one JSON line an event, through a pipe that connectors do not inherit."""

from __future__ import annotations

import json
import os

EVENTS = "AIRBYTE_EMBEDDED_EVENTS"
PERIOD = 1.0  # seconds between two reports of progress, for whoever reports


class Events:
    def __init__(self) -> None:
        descriptor = int(os.environ.pop(EVENTS))
        os.set_inheritable(descriptor, False)
        self._pipe = os.fdopen(descriptor, "w")

    def progress(self, rows: int, size: int) -> None:
        self._send(event="progress", rows=rows, bytes=size)

    def succeeded(self, rows: int, size: int) -> None:
        self._send(event="result", status="succeeded", reason=None, rows=rows, bytes=size)

    def failed(self, reason: str, rows: int = 0, size: int = 0) -> None:
        self._send(event="result", status="failed", reason=reason, rows=rows, bytes=size)

    def _send(self, **event: object) -> None:
        self._pipe.write(json.dumps(event) + "\n")
        self._pipe.flush()
