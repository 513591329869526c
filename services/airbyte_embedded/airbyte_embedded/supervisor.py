"""Executes jobs: which may run, how they end, and what happens to them when the service itself ends.

A job that the service interrupted (a restart, a kill) is not failed but taken up again as a new attempt of the
same job, up to `attempts` starts: what its earlier attempt had committed is not written again (see
worker/ledger.py). A job that failed by itself stays failed; the orchestrator decides whether to ask again.
"""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import sqlite3
import time
from dataclasses import replace
from typing import Any

from airbyte_embedded import destinations, processes, records, schedule, vault
from airbyte_embedded.attempt import Attempt, Outcome
from airbyte_embedded.connectors import Connectors
from airbyte_embedded.database import Database, Row
from airbyte_embedded.joblog import Logs
from airbyte_embedded.problems import Problem, try_again, unavailable
from airbyte_embedded.protocol import Protocol
from airbyte_embedded.settings import Settings

Json = dict[str, Any]
UNFINISHED = "('pending', 'running', 'incomplete')"
CANCELLED = "It was cancelled."
INTERRUPTED = "The service stopped while it ran."
IDLE = 60.0  # seconds between two looks at schedules and old logs when nothing happens
RECONSIDERED = 3600.0  # seconds until a schedule that cannot be read is read again
PATIENCE = 5.0  # seconds until a write that found the disk full is tried again
GLANCE = 0.2  # seconds between two looks whether a cancelled job's end is written

log = logging.getLogger(__name__)


class Supervisor:
    """Holds the running attempts. All methods belong to the event loop's thread."""

    def __init__(
        self, settings: Settings, database: Database, connectors: Connectors, protocol: Protocol,
        secrets: vault.Vault, logs: Logs,
    ) -> None:  # fmt: skip
        self._settings = settings
        self._database = database
        self._connectors = connectors
        self._protocol = protocol
        self._vault = secrets
        self._logs = logs
        self._attempts: dict[int, Attempt] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._unwritten: set[int] = set()  # jobs that have ended, and there is no room to say so
        self._news = asyncio.Event()
        self._closing = False

    # what the API asks for

    def submit(self, connection: str, kind: str) -> int:
        """Queue a job; answers its id. Raises Problem 409 while another of the connection is unfinished."""
        waiting = self._database.one(
            "SELECT count(*) AS n FROM jobs WHERE status IN ('pending', 'incomplete')"
        )
        if waiting and waiting["n"] >= self._settings.limits.jobs_waiting:
            raise unavailable(f"{waiting['n']} jobs are waiting already.")
        now = time.time()
        values = {
            "connection_id": connection,
            "type": kind,
            "status": "pending",
            "created_at": now,
            "updated_at": now,
        }
        try:
            identifier = self._database.insert("jobs", values)
        except sqlite3.IntegrityError:
            raise try_again("A job of this connection is not finished yet.") from None
        self.wake()
        return identifier

    async def cancel(self, job: int) -> None:
        """The job is over and nothing of it runs. A job that had ended stays as it is.

        Raises Problem 503 where nothing of it runs, and its end cannot be written.
        """
        if attempt := self._attempts.get(job):
            await attempt.stop(CANCELLED)
        task = self._tasks.get(job)
        while task and not task.done():
            if job in self._unwritten:
                raise unavailable("Nothing of the job runs any more, but its end cannot be written yet.")
            await asyncio.wait([task], timeout=GLANCE)
        now = time.time()
        self._database.run(
            "UPDATE jobs SET status = 'cancelled', reason = ?, updated_at = ?, ended_at = ?"
            f" WHERE id = ? AND status IN {UNFINISHED}",
            (CANCELLED, now, now, job),
        )
        self.wake()

    async def cancel_connection(self, connection: str) -> None:
        for row in self._database.all(
            f"SELECT id FROM jobs WHERE connection_id = ? AND status IN {UNFINISHED}", (connection,)
        ):
            await self.cancel(row["id"])

    def wake(self) -> None:
        self._news.set()

    # its own life

    async def recover(self) -> None:
        """Take up what an earlier life of the service left: ends its processes, queues its jobs again."""
        for kind in ("job", "ask", "check", "install"):
            await processes.end(self._settings.mark(kind), grace=0.5)
        for leftover in self._settings.work.iterdir():
            await asyncio.to_thread(shutil.rmtree, leftover, True)
        for row in self._database.all("SELECT * FROM jobs WHERE status = 'running'"):
            log.warning("job %s was interrupted", row["id"])
            self._interrupted(row)
        self._prune()

    async def run(self) -> None:
        """Start what may start, until `close`. No failure ends it: jobs would wait behind a service that looks well."""
        while not self._closing:
            self._news.clear()
            pause = PATIENCE
            try:
                self._start_scheduled()
                self._start_waiting()
                pause = self._until_next()
            except sqlite3.OperationalError as error:  # a full disk passes; the service must outlive it
                log.error("the state cannot be written: %s", error)
            except Exception:  # whatever one stored row does: the others' jobs must begin all the same
                log.exception("what is due could not be looked at, trying again")
            try:
                await asyncio.wait_for(self._news.wait(), pause)
            except TimeoutError:
                self._prune()

    def _prune(self) -> None:
        try:
            self._logs.prune()
        except OSError as error:
            log.error("old logs cannot be removed: %s", error)

    async def close(self) -> None:
        """End every attempt; the jobs are taken up again by the next start."""
        self._closing = True
        self.wake()
        await asyncio.gather(*(attempt.stop(INTERRUPTED) for attempt in self._attempts.values()))
        if self._tasks:
            await asyncio.wait(self._tasks.values())

    def _until_next(self) -> float:
        row = self._database.one("SELECT min(next_run) AS due FROM connections WHERE deleted_at IS NULL")
        return min(max(row["due"] - time.time(), 0.1), IDLE) if row and row["due"] else IDLE

    def _bring_forward(self, now: float) -> None:
        """A date that was reckoned while the clock stood ahead would keep a connection from running until then."""
        for row in self._database.all(
            "SELECT * FROM connections WHERE deleted_at IS NULL AND status = 'active' AND next_run > ?",
            (now,),
        ):
            try:
                following = schedule.following(json.loads(row["body"])["schedule"]["cronExpression"], now)
            except Problem:  # it is read again when its turn comes
                continue
            if following < row["next_run"]:
                log.warning("connection %s runs earlier: the clock was ahead when it ran last", row["id"])
                self._database.update("connections", row["id"], {"next_run": following})

    def _start_scheduled(self) -> None:
        now = time.time()
        self._bring_forward(now)
        for row in self._database.all(
            "SELECT * FROM connections WHERE deleted_at IS NULL AND status = 'active' AND next_run <= ?",
            (now,),
        ):
            expression = json.loads(row["body"])["schedule"]["cronExpression"]
            try:
                following = schedule.following(expression, now)
            except Problem as problem:  # it was read when it was stored; lists of time zones change
                log.error("connection %s does not run: %s", row["id"], problem.detail)
                later = {"next_run": now + RECONSIDERED, "status_reason": problem.detail}
                self._database.update("connections", row["id"], later)
                continue
            with self._database.transaction():  # a disk that fills up in between must not cost a date
                self._database.update(
                    "connections", row["id"], {"next_run": following, "status_reason": None}
                )
                try:
                    self.submit(row["id"], "sync")
                except Problem as problem:  # still running, or the queue is full: the next date comes
                    log.warning("connection %s was due, but: %s", row["id"], problem.detail)

    def _start_waiting(self) -> None:
        for row in self._database.all(
            "SELECT * FROM jobs WHERE status IN ('pending', 'incomplete') ORDER BY id"
        ):
            if len(self._tasks) >= self._settings.limits.jobs_at_once:
                return
            if row["id"] not in self._tasks:
                now = time.time()
                values = {"status": "running", "attempts": row["attempts"] + 1, "updated_at": now}
                self._database.update("jobs", row["id"], values | {"started_at": row["started_at"] or now})
                fresh = records.job(self._database, str(row["id"]))
                self._attempts[row["id"]] = self._new_attempt(fresh)
                self._tasks[row["id"]] = asyncio.create_task(self._execute(fresh))

    def _new_attempt(self, job: Row) -> Attempt:
        def progress(rows: int, size: int) -> None:
            self._progress(job["id"], rows, size)

        return Attempt(self._settings, job["id"], job["attempts"], progress)

    async def _execute(self, job: Row) -> None:
        try:
            outcome = await self._attempt(job)
            await self._record(job, outcome)
        finally:
            self._attempts.pop(job["id"], None)
            self._tasks.pop(job["id"], None)
            self.wake()

    async def _attempt(self, job: Row) -> Outcome:
        """Every way in which an attempt can go wrong ends in an outcome, never in a job that runs for ever."""
        attempt = self._attempts[job["id"]]
        try:
            prepared = await self._prepared(job, attempt)
            if attempt.stopped or prepared is None:
                return Outcome(False, attempt.stopped)
            order, secrets = prepared
            writing = self._logs.open(job["id"], job["attempts"], secrets)
            try:
                writing.say(f"job {job['id']}, attempt {job['attempts']}: {job['type']}")
                outcome = await attempt.run(order, writing)
                if outcome.reason:
                    # a connector's or a database's own words: people read them beside the log's
                    outcome = replace(outcome, reason=writing.masked(outcome.reason.encode()).decode())
                writing.say("succeeded" if outcome.succeeded else f"failed: {outcome.reason}")
            finally:
                writing.close()
        except Problem as problem:
            return Outcome(False, problem.detail)
        except OSError as error:
            return Outcome(False, f"The job could not be started: {error.strerror}.")
        except Exception as error:
            log.exception("job %s", job["id"])
            return Outcome(False, f"The service failed at this job ({type(error).__name__}).")
        return outcome

    async def _prepared(self, job: Row, attempt: Attempt) -> tuple[Json, list[str]] | None:
        """The order and its secrets; None where the attempt was stopped first. A connector of a new version may take
        half an hour to install, and nobody who cancels waits for that.
        """
        asking = asyncio.create_task(self._order(job))
        halting = asyncio.create_task(attempt.halt.wait())
        await asyncio.wait({asking, halting}, return_when=asyncio.FIRST_COMPLETED)
        halting.cancel()
        if asking.done():
            return asking.result()
        asking.cancel()
        await asyncio.wait({asking})
        return None

    async def _order(self, job: Row) -> tuple[Json, list[str]]:
        """What the job's process must know, and which words must not appear in its log."""
        connection = self._database.one("SELECT * FROM connections WHERE id = ?", (job["connection_id"],))
        assert connection is not None  # a foreign key
        source, destination = (
            self._database.one("SELECT * FROM actors WHERE id = ?", (connection[f"{kind}_id"],))
            for kind in ("source", "destination")
        )
        assert source is not None
        assert destination is not None
        connector = self._connectors.by_type(source["type"])
        if connector is None:
            raise unavailable(f"The connector {source['type']} is no longer in the registry of this machine.")
        await self._connectors.ensure_installed(connector)
        specification = await self._protocol.specification(connector)
        given, written = (self._vault.open(actor["configuration"]) for actor in (source, destination))
        target = destinations.find(destination["type"], None)
        secrets = vault.secret_values(given, specification) + vault.secret_values(
            written, target.specification
        )
        order = {
            "job": job["id"],
            "created_at": job["created_at"],
            "type": job["type"],
            "connection": connection["id"],
            "body": json.loads(connection["body"]),
            "known_columns": json.loads(connection["known_columns"]),
            "source": {
                "name": connector.name,
                "command": self._connectors.command(connector),
                "config": given,
            },
            "destination": {
                "type": target.type,
                "config": destinations.resolved(self._settings, target, written),
            },
            "locks": str(self._settings.locks),
        }
        return order, secrets

    def _progress(self, job: int, rows: int, size: int) -> None:
        try:
            self._database.update("jobs", job, {"rows": rows, "bytes": size, "updated_at": time.time()})
        except sqlite3.OperationalError as error:
            log.error("the progress of job %s cannot be written: %s", job, error)

    async def _record(self, job: Row, outcome: Outcome) -> None:
        """The outcome is written, however long the disk stays full. A service that ends meanwhile leaves it to its next
        start, which takes the job up again: what was committed is not written twice.
        """
        while True:
            try:
                self._finish(job, outcome)
                self._unwritten.discard(job["id"])
                return
            except sqlite3.OperationalError as error:
                log.error("the end of job %s cannot be written, trying again: %s", job["id"], error)
            self._unwritten.add(job["id"])
            if self._closing:
                return
            await asyncio.sleep(PATIENCE)

    def _finish(self, job: Row, outcome: Outcome) -> None:
        if outcome.reason == INTERRUPTED:
            self._interrupted(job)
            return
        now = time.time()
        cancelled = outcome.reason == CANCELLED
        status = "succeeded" if outcome.succeeded else "cancelled" if cancelled else "failed"
        values = {"status": status, "reason": outcome.reason, "updated_at": now, "ended_at": now}
        if outcome.succeeded:
            values |= {"rows": outcome.rows, "bytes": outcome.bytes}
        self._database.update("jobs", job["id"], values)
        log.info("job %s %s%s", job["id"], status, f": {outcome.reason}" if outcome.reason else "")

    def _interrupted(self, job: Row) -> None:
        now = time.time()
        if job["attempts"] < self._settings.limits.attempts:
            self._database.update("jobs", job["id"], {"status": "incomplete", "updated_at": now})
            return
        reason = f"{INTERRUPTED} It was started {job['attempts']} times."
        values = {"status": "failed", "reason": reason, "updated_at": now, "ended_at": now}
        self._database.update("jobs", job["id"], values)
