# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""One place to read logs: the journal, the containers of the service users, and the logs of Airflow's tasks."""

import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from hangar_words import Masks

from . import entries, newest, task_logs
from .described import Refused
from .entries import Entry
from .programs import Program, lines

TASKS = Path("/srv/airflow/logs")
HOUR = 3600
LONGEST = 2000
"""Files of tasks that are looked at, the newest first."""
MOST = 200_000
"""Lines of tasks that are read, the newest files' first."""
SEARCHED = 20_000
"""Lines of each source that are looked through for a word."""
LOOK = 1.0
"""Seconds between two looks at the logs of tasks that are followed."""


def read(asked: dict[str, Any]) -> None:
    """Print what is asked for: `sources`, `lines`, `since` (seconds), `follow`, `grep` and `json`."""
    try:
        wanted = re.compile(asked.get("grep") or "")
    except re.error as problem:
        raise Refused(f"--grep {asked['grep']!r} is no regular expression: {problem}") from None
    fits, as_json = _judge(wanted), bool(asked.get("json"))
    if asked.get("follow"):
        _follow(asked, _printer(fits, as_json))
        return
    # The last lines are the last of those that fit, not those that fit among the last.
    depth = asked | {"lines": max(asked["lines"], SEARCHED)} if asked.get("grep") else asked
    found = newest.Newest(asked["lines"] if asked.get("since") is None else newest.MOST)
    for source in asked["sources"]:
        for entry in filter(fits, _all(source, depth)):
            found.add(entry)
    for entry in found.in_order():
        _show(entry, as_json)
    if found.crowded or (found.dropped and asked.get("since") is not None):
        said = f"more than can be held at once; older lines left out: {found.dropped}"
        _show(Entry(datetime.now(UTC), "logs", "warning", said), as_json)


def _judge(wanted: re.Pattern[str]) -> Callable[[Entry], bool]:
    """Whether an entry is wanted, as it is shown: secrets are hidden before, nobody guesses them by asking."""
    masks = Masks()

    def fits(entry: Entry) -> bool:
        entry.change(masks.hide)
        return wanted.search(entry.as_text()) is not None

    return fits


def _printer(fits: Callable[[Entry], bool], as_json: bool) -> Callable[[Entry], None]:
    lock = threading.Lock()

    def show(entry: Entry) -> None:
        if fits(entry):
            with lock:
                _show(entry, as_json)

    return show


def _show(entry: Entry, as_json: bool) -> None:
    print(entry.as_json() if as_json else entry.as_text(), flush=True)


def _all(source: dict[str, Any], asked: dict[str, Any]) -> Iterator[Entry]:
    for command, parse in _commands(source, asked, follow=False):
        understood, program = _understanding(parse, source["name"]), Program(command)
        yield from filter(None, map(understood, program.lines()))
        if program.complaint is not None:
            said = f"cannot be read: {program.complaint}"
            yield Entry(datetime.now(UTC), source["name"], "warning", said)
    if source.get("project") == "airflow":
        since = time.time() - (asked["since"] if asked.get("since") is not None else 24 * HOUR)
        yield from _tasks(since, asked["lines"] if asked.get("since") is None else None)


def _understanding(parse: Callable[[str], Entry | None], name: str) -> Callable[[str], Entry | None]:
    """`parse`, which shows as it is what it cannot make sense of: a line ends nobody's reading."""

    def understood(line: str) -> Entry | None:
        try:
            return parse(line)
        except (*entries.STRANGE, KeyError, AttributeError):
            return Entry(datetime.now(UTC), name, "info", line)

    return understood


def _commands(
    source: dict[str, Any], asked: dict[str, Any], *, follow: bool
) -> Iterator[tuple[list[str], Any]]:
    """The programs that tell a source's log, and who understands what they say."""
    since, lines, name = asked.get("since"), str(asked["lines"]), source["name"]
    if project := source.get("project"):
        some = ["--since", f"{since}s"] if since is not None else ["--tail", lines]
        follows = ["--follow"] if follow else []
        command = [
            "as-service",
            source["user"],
            "docker",
            "compose",
            "-p",
            project,
            "logs",
            "--no-color",
            "--timestamps",
        ]
        yield [*command, *some, *follows], partial(entries.of_container, service=name)
    if matches := _matches(source):
        some = [f"--since=-{since}s"] if since is not None else [f"--lines={lines}"]
        words = [word for match in matches for word in (*match, "+")][:-1]
        command = [
            "journalctl",
            "--quiet",
            "--no-pager",
            "--output=json",
            "--all",  # else a message of more than 4096 bytes is null
            *some,
            *(["--follow"] if follow else []),
        ]
        yield [*command, *words], partial(entries.of_journal, service=name)


def _matches(source: dict[str, Any]) -> list[list[str]]:
    """What the journal is asked for. Fields without an underscore are whatever the writer says, and anybody may have a
    user unit of any name: so of the first kind only systemd's own count, of the second those of service users.
    """
    accounts = [f"_UID={uid}" for uid in source.get("accounts", [])]
    matches = [
        match
        for unit in source.get("units", [])
        for match in ([f"_SYSTEMD_UNIT={unit}"], [f"UNIT={unit}", "_PID=1"])
    ]
    matches += [
        [f"{field}={unit}", *accounts]
        for unit in source.get("user_units", [])
        for field in ("_SYSTEMD_USER_UNIT", "USER_UNIT")
    ]
    matches += [["_TRANSPORT=kernel"]] if source.get("kernel") else []
    return matches + [[f"SYSLOG_IDENTIFIER={one}"] for one in source.get("identifiers", [])]


def _tasks(since: float, most: int | None) -> Iterator[Entry]:
    files, left = sorted(task_logs.find(TASKS, since), key=lambda one: one.written, reverse=True), MOST
    for log in files[: LONGEST if most is None else min(LONGEST, most)]:
        if left <= 0:
            yield Entry(
                datetime.now(UTC),
                "airflow/task",
                "warning",
                f"more than {MOST} lines: older ones are left out",
            )
            return
        try:
            lines = task_logs.lines(TASKS, log)[-(left if most is None else min(left, most)) :]
            moment = datetime.fromtimestamp(log.written, UTC)
        except (OSError, ValueError, OverflowError):
            continue  # gone, something else by now, or of no year that there is
        left -= len(lines)
        for line in lines:
            entry = entries.of_task(line, log.about, moment)
            moment = entry.time
            if moment.timestamp() >= since:
                yield entry


def _follow(asked: dict[str, Any], show: Callable[[Entry], None]) -> None:
    """Each source by itself, as its lines come, until somebody ends us."""
    running, listening = [], []
    for source in asked["sources"]:
        for command, parse in _commands(source, asked, follow=True):
            try:
                process = subprocess.Popen(
                    command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
                )
            except OSError as problem:
                show(Entry(datetime.now(UTC), source["name"], "warning", f"cannot be read: {problem}"))
                continue
            running.append(process)
            # What it complains of is a service user's word as well, and goes to the same terminal.
            complaint = partial(_complaint, source["name"])
            for stream, understood in (
                (process.stdout, _understanding(parse, source["name"])),
                (process.stderr, complaint),
            ):
                thread = threading.Thread(target=_pass_on, args=(stream, understood, show), daemon=True)
                thread.start()
                listening.append(thread)
    try:
        _follow_tasks(show, any(source.get("project") == "airflow" for source in asked["sources"]), running)
    finally:
        for process in running:
            process.terminate()
        until = time.monotonic() + LOOK
        for thread in listening:
            thread.join(max(0.0, until - time.monotonic()))  # the last words, which say why it ended


def _complaint(name: str, line: str) -> Entry | None:
    return Entry(datetime.now(UTC), name, "warning", line) if line.strip() else None


def _pass_on(stream: BinaryIO, parse: Any, show: Callable[[Entry], None]) -> None:
    for line in lines(stream):
        if entry := parse(line):
            show(entry)


def _follow_tasks(show: Callable[[Entry], None], wanted: bool, running: list[Any]) -> None:
    """Looks for what was added to the logs of tasks; also notices when whoever reads us has gone."""
    began = time.time()
    known = {log.parts: log.size for log in task_logs.find(TASKS, began - HOUR)} if wanted else {}
    while any(process.poll() is None for process in running):
        time.sleep(LOOK)
        if _nobody_reads():
            return
        for log in task_logs.find(TASKS, began) if wanted else ():
            try:
                begin, added = task_logs.read(TASKS, log, known.get(log.parts, 0))
            except OSError:
                continue
            whole = added[: added.rfind(b"\n") + 1]
            known[log.parts] = begin + len(whole)
            for line in whole.decode(errors="replace").splitlines():
                show(entries.of_task(line, log.about, datetime.now(UTC)))


def _nobody_reads() -> bool:
    """Whether the other end of standard output is gone. Nobody tells us when a connection breaks."""
    watched = select.poll()
    watched.register(sys.stdout.fileno(), 0)
    return os.getppid() == 1 or any(event & (select.POLLERR | select.POLLHUP) for _, event in watched.poll(0))


def parse(text: str) -> dict[str, Any]:
    """The question as the controller puts it."""
    try:
        asked = dict(json.loads(text))
        return {"sources": asked["sources"], "lines": int(asked["lines"]), **asked}
    except (ValueError, KeyError, TypeError):
        raise Refused("logs are asked for as JSON, with sources and lines") from None
