# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""A line of a log: when, who, how grave, what, and the run, task or job that it belongs to."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hangar_words import clean

LEVELS = {"0": "critical", "1": "critical", "2": "critical", "3": "error", "4": "warning", "7": "debug"}
SAID = re.compile(
    r"\b(DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL)\b|\[(debug|info|warning|error|critical) *\]"
)
JOB = re.compile(r"\bjob(?:_id)?[ =:#]+(\d+)", re.IGNORECASE)
NAMES = {"dag": "dag_id", "run": "run_id", "task": "task_id", "try": "try_number", "job": "job_id"}
STRANGE = (ValueError, TypeError, OverflowError, RecursionError)
"""What a line raises that has the form of a record, and in it what no record has."""


@dataclass
class Entry:
    """`about` holds what is known of dag, run, task, try and job. Programs choose the words, and whoever names
    folders; none of them acts on a terminal.
    """

    time: datetime
    service: str
    level: str
    message: str
    about: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.change(clean)

    def change(self, word: Callable[[str], str]) -> None:
        """Put every word of it through that."""
        self.service, self.level, self.message = word(self.service), word(self.level), word(self.message)
        self.about = {key: word(value) for key, value in self.about.items()}

    def as_json(self) -> str:
        said = {
            "time": self.time.isoformat(),
            "service": self.service,
            "level": self.level,
            "message": self.message,
        }
        return json.dumps(said | self.about, ensure_ascii=False)

    def as_text(self) -> str:
        about = " ".join(f"{key}={value}" for key, value in self.about.items())
        level = "" if self.level == "info" else f"{self.level.upper()} "
        return f"{self.time:%Y-%m-%d %H:%M:%S} {self.service}: {level}{self.message}{f'  [{about}]' if about else ''}"


def of_journal(line: str, service: str) -> Entry | None:
    """A line of `journalctl --output=json`; one that is no text is left out."""
    said = json.loads(line)
    message = said.get("MESSAGE")
    if isinstance(message, list):
        message = bytes(message).decode(errors="replace")
    if not message:
        return None
    moment = datetime.fromtimestamp(int(said["__REALTIME_TIMESTAMP"]) / 1e6, UTC)
    unit = (
        said.get("USER_UNIT")
        or said.get("_SYSTEMD_USER_UNIT")
        or said.get("UNIT")
        or said.get("_SYSTEMD_UNIT")
    )
    name = str(unit or said.get("SYSLOG_IDENTIFIER") or "").removesuffix(".service")
    where = service if name in ("", service) else f"{service}/{name}"
    return Entry(moment, where, LEVELS.get(str(said.get("PRIORITY")), "info"), str(message))


def of_container(line: str, service: str) -> Entry | None:
    """A line of `docker compose logs --timestamps`: NAME-1 | TIME MESSAGE. Programs that write JSON are understood."""
    name, bar, rest = clean(line).partition("|")
    stamp, _, message = rest.strip().partition(" ")
    if not bar or not (moment := when(stamp)):
        return None
    container = re.sub(r"-\d+$", "", name.strip())
    where = f"{service}/{container}"
    if message.startswith("{") and (structured := _structured(message)):
        return _of_fields(structured, moment, where)
    level = SAID.search(message[:120])
    return Entry(moment, where, _level(level[1] or level[2]) if level else "info", message, _belongs(message))


def of_task(line: str, about: dict[str, str], before: datetime) -> Entry:
    """A line of a task's log, which Airflow writes as JSON; what is none belongs to the moment before."""
    found = _of_fields(_structured(line) or {"event": line}, before, "airflow/task")
    return Entry(found.time, found.service, found.level, found.message, about | found.about)


def _structured(text: str) -> dict[str, Any] | None:
    try:
        said = json.loads(text)
        # What is nested too deeply to be written again is no record either.
        return said if isinstance(said, dict) and repr(said) else None
    except STRANGE:
        return None


def _of_fields(said: dict[str, Any], moment: datetime, service: str) -> Entry:
    message = str(said.get("event") or said.get("message") or said.get("msg") or "")
    if isinstance(details := said.get("error_detail"), list):
        message += " " + "; ".join(
            f"{one.get('exc_type')}: {one.get('exc_value')}" for one in details if isinstance(one, dict)
        )
    about = {key: str(said[name]) for key, name in NAMES.items() if said.get(name)}
    time = when(str(said.get("timestamp") or said.get("time") or "")) or moment
    return Entry(time, service, _level(str(said.get("level", "info"))), message, about or _belongs(message))


def _belongs(message: str) -> dict[str, str]:
    """What a message says of the run, task or job that it belongs to: dag_id=…, job 12."""
    found = {
        key: said[1]
        for key, name in NAMES.items()
        if (said := re.search(rf"\b{name}=([^\s,;)\]]+)", message))
    }
    if job := JOB.search(message):
        found["job"] = job[1]
    return found


def _level(text: str) -> str:
    level = text.lower()
    return {"warn": "warning", "fatal": "critical"}.get(level, level)


def when(text: str) -> datetime | None:
    """A time in ISO 8601, with as many digits after the point as Docker likes."""
    cut = re.sub(r"(\.\d{6})\d+", r"\1", text)
    try:
        moment = datetime.fromisoformat(cut)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
