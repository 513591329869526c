"""One attempt at a job: a process of its own, watched from start to end.

The job's process reads its order from standard input, which then stays open: when the service dies, however
it dies, the input ends and the process ends itself with all it started. What it has to report comes through a
pipe that connectors do not inherit.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airbyte_embedded import processes
from airbyte_embedded.connectors import LAUNCH
from airbyte_embedded.joblog import JobLog
from airbyte_embedded.settings import Settings

Json = dict[str, Any]
EVENTS = "AIRBYTE_EMBEDDED_EVENTS"
LOOK = 0.5  # seconds between two looks at a job's memory


@dataclass(frozen=True)
class Outcome:
    """How an attempt ended. `reason` is a sentence, None for success."""

    succeeded: bool
    reason: str | None
    rows: int = 0
    bytes: int = 0


class Attempt:
    """Runs one order. `stop` ends it early, for the reason given."""

    def __init__(
        self, settings: Settings, job: int, number: int, progress: Callable[[int, int], None]
    ) -> None:
        self._settings = settings
        self.mark = settings.mark(f"job/{job}/{number}")
        self._progress = progress
        self.stopped: str | None = None
        self.halt = asyncio.Event()  # set with it
        self._result: Json = {}

    async def run(self, order: Json, log: JobLog) -> Outcome:
        """Execute the order to its end, its limits or `stop`. Nothing of it runs when this returns."""
        scratch = Path(tempfile.mkdtemp(prefix="job-", dir=self._settings.work))
        reading, writing = os.pipe()
        try:
            try:
                child = await self._start(scratch, writing)
            finally:
                os.close(writing)
            return await self._watch(child, reading, order | {"scratch": str(scratch)}, log)
        except processes.NotStarted as error:
            os.close(reading)
            return Outcome(False, str(error))
        finally:
            # a folder of some size: not in the thread that answers requests
            await asyncio.to_thread(shutil.rmtree, scratch, True)

    async def _start(self, scratch: Path, writing: int) -> asyncio.subprocess.Process:
        limits = self._settings.limits
        argv = [str(self._settings.worker_python), str(LAUNCH), "job"]
        more = {EVENTS: str(writing), "AIRBYTE_TEMP_DIR": str(scratch)}
        # the kernel's own bound, far above: for growth between two looks at the memory
        more["AIRBYTE_EMBEDDED_DATA_BYTES"] = str((2 * limits.job_megabytes + 2000) * 1_000_000)
        return await processes.start(argv, self.mark, scratch, fds=[writing], more=more)

    async def _watch(
        self, child: asyncio.subprocess.Process, reading: int, order: Json, log: JobLog
    ) -> Outcome:
        assert child.stdin is not None
        child.stdin.write(json.dumps(order).encode() + b"\n")
        pumps = [asyncio.create_task(self._pump(child, log)), asyncio.create_task(self._listen(reading, log))]
        bounds = asyncio.create_task(self._bound(child))
        try:
            if self.stopped:  # while the process was being started
                await processes.end(self.mark)
            await child.wait()
        finally:
            bounds.cancel()
            # whatever the job's process left behind, and the process itself if this task was cancelled
            await processes.end(self.mark)
            await asyncio.gather(*pumps, return_exceptions=True)
            child.stdin.close()
        return self._outcome(child.returncode)

    async def stop(self, reason: str) -> None:
        """End the attempt; the first reason given is the one that counts."""
        self.stopped = self.stopped or reason
        self.halt.set()
        await processes.end(self.mark)

    async def _bound(self, child: asyncio.subprocess.Process) -> None:
        """Ends the attempt at its limits of time and memory."""
        limits = self._settings.limits
        deadline = time.monotonic() + limits.job_seconds
        while child.returncode is None:
            await asyncio.sleep(LOOK)
            used = await asyncio.to_thread(self._megabytes)
            if used > limits.job_megabytes:
                await self.stop(f"It used {used} MB of memory; the limit is {limits.job_megabytes} MB.")
            if time.monotonic() > deadline:
                await self.stop(f"It did not end within its time limit of {limits.job_seconds:g} seconds.")

    def _megabytes(self) -> int:
        return processes.resident(processes.members(self.mark)) // 1_000_000

    async def _pump(self, child: asyncio.subprocess.Process, log: JobLog) -> None:
        assert child.stdout is not None
        while chunk := await child.stdout.read(65536):
            log.write(chunk)

    async def _listen(self, reading: int, log: JobLog) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=2**20)
        pipe = os.fdopen(reading, "rb", buffering=0)
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        with contextlib.closing(transport):
            while line := await reader.readline():
                event = json.loads(line)
                if event["event"] == "result":
                    self._result = event
                self._progress(event["rows"], event["bytes"])

    def _outcome(self, code: int | None) -> Outcome:
        rows, size = self._result.get("rows", 0), self._result.get("bytes", 0)
        if self._result.get("status") == "succeeded":
            return Outcome(True, None, rows, size)  # it was done before anything stopped it
        if self.stopped:
            return Outcome(False, self.stopped, rows, size)
        if self._result:
            return Outcome(False, str(self._result["reason"]), rows, size)
        how = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        return Outcome(False, f"The job's process ended without a result ({how}).")
