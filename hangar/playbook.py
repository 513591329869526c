"""Runs ansible-playbook: progress while it runs, the whole output in a log, one record at the end."""

import json
import locale
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from hangar.errors import MachineUnreachable, PlaybookFailed
from hangar.paths import REPO, hosts_file, known_hosts, log_dir
from hangar.process import describe
from hangar.process.long_work import stream
from hangar.ssh.known_hosts import another_key, is_another_key, pinned

LOG_TAIL = 15
"""Lines of the log that an error shows when Ansible ended without naming a task."""

LOGS_KEPT = 20

LOCALES = ("C.UTF-8", "en_US.UTF-8")
"""Ansible refuses other encodings. Not every system has the first: macOS came to it late."""


class Event(NamedTuple):
    """A task begins: its title, its number, and how many there are as far as is known."""

    name: str
    done: int
    total: int


@dataclass(frozen=True)
class TaskRun:
    role: str
    name: str
    status: str  # ok, changed, skipped, ignored, failed or unreachable
    seconds: float
    message: str = field(default="", repr=False)

    @property
    def title(self) -> str:
        return f"{self.role}: {self.name}" if self.role else self.name


@dataclass(frozen=True)
class Recap:
    """What Ansible counted, what each task took in seconds, and where the whole output is."""

    ok: int = 0
    changed: int = 0
    failed: int = 0
    unreachable: int = 0
    tasks: tuple[TaskRun, ...] = ()
    log: Path = Path()

    @property
    def changes(self) -> tuple[TaskRun, ...]:
        """The tasks that changed something, or would have in check mode."""
        return tuple(task for task in self.tasks if task.status == "changed")

    @property
    def seconds_by_role(self) -> dict[str, float]:
        """What each role took, in the order in which they began. A login that another role has proven is the role
        `interlock`'s.
        """
        found: dict[str, float] = {}
        for task in self.tasks:
            if task.role:
                found[task.role] = found.get(task.role, 0.0) + task.seconds
        return found


def run(
    env: str,
    playbook: str = "site.yml",
    *,
    tags: Sequence[str] = (),
    check: bool = False,
    diff: bool = False,
    on_event: Callable[[Event], None] = lambda event: None,
) -> Recap:
    """Runs a playbook against the environment's machine.

    Raises:
        MachineUnreachable: Ansible could not log in, or what answers shows another host key.
        PlaybookFailed: a task failed, or Ansible did not understand the playbook.
    """
    argv = command(env, playbook, tags=tags, check=check, diff=diff)
    log = _new_log(env, argv)
    reader, writer = os.pipe()
    tally = _Tally(on_event)
    with os.fdopen(reader, encoding="utf-8") as events:
        try:
            work = stream(argv, log=log, env=_environment(writer), cwd=REPO, pass_fds=(writer,))
            with work as process:
                os.close(writer)
                writer = -1
                tally.read(events)
        finally:
            if writer >= 0:
                os.close(writer)
    recap = tally.recap(log)
    if process.returncode != 0:
        raise _failure(env, argv, recap)
    return recap


def command(
    env: str, playbook: str = "site.yml", *, tags: Sequence[str] = (), check: bool = False, diff: bool = False
) -> tuple[str, ...]:
    """The call, as somebody could repeat it by hand."""
    options = [*(["--tags", ",".join(tags)] if tags else []), *(["--check"] if check else [])]
    options += ["--diff"] if diff else []
    inventory, book = hosts_file(env), REPO / "playbooks" / playbook
    return (sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(book), *options)


def _environment(events: int) -> Mapping[str, str | None]:
    """What Ansible gets beside our own environment. No ANSIBLE_ variable of the user's own reaches it: one of them
    switches the pinned host keys off, and a run must not depend on whose computer it starts from.
    """
    return {
        **{name: None for name in os.environ if name.startswith("ANSIBLE_")},
        "ANSIBLE_CONFIG": str(REPO / "ansible.cfg"),
        "ANSIBLE_NOCOLOR": "1",
        "HANGAR_EVENTS_FD": str(events),
        **({"LC_ALL": found} if (found := _locale()) else {}),
        "PYTHONUNBUFFERED": "1",
    }


def _locale() -> str:
    """The first of `LOCALES` that this computer knows; empty where it knows none, and the user's own has to do."""
    before = locale.setlocale(locale.LC_ALL)
    try:
        for name in LOCALES:
            with suppress(locale.Error):
                return locale.setlocale(locale.LC_ALL, name)
        return ""
    finally:
        locale.setlocale(locale.LC_ALL, before)


def _new_log(env: str, argv: Sequence[str]) -> Path:
    """Makes this run's log, points `latest-playbook.log` at it and removes the oldest ones."""
    folder = log_dir(env)
    log = folder / f"{time.strftime('%Y%m%dT%H%M%S')}-{os.getpid()}-playbook.log"
    log.touch(mode=0o600)
    log.write_text(f"{describe(argv)}\n", encoding="utf-8")
    fresh = folder / f".latest-{os.getpid()}"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(log.name)
    fresh.replace(folder / "latest-playbook.log")
    for old in sorted(folder.glob("*T*-playbook.log"))[:-LOGS_KEPT]:
        old.unlink(missing_ok=True)
    return log


class _Tally:
    """Reads the events of the callback plugin `hangar_events`."""

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._total = 0
        self._tasks: list[TaskRun] = []
        self._counts: dict[str, int] = {}

    def read(self, lines: IO[str]) -> None:
        """Until the playbook closes its end."""
        for line in lines:
            if not line.endswith("\n"):
                return  # Ansible was killed while it wrote
            event = json.loads(line)
            getattr(self, f"_{event.pop('event')}")(event)

    def _play(self, event: dict[str, Any]) -> None:
        self._total += event["tasks"]

    def _task(self, event: dict[str, Any]) -> None:
        title = TaskRun(event["role"], event["name"], "", 0).title
        self._on_event(Event(title, event["number"], max(self._total, event["number"])))

    def _result(self, event: dict[str, Any]) -> None:
        self._tasks.append(TaskRun(**event))

    def _recap(self, event: dict[str, Any]) -> None:
        for counts in event["hosts"].values():
            for name, count in counts.items():
                self._counts[name] = self._counts.get(name, 0) + count

    def recap(self, log: Path) -> Recap:
        counts = {"ok": "ok", "changed": "changed", "failed": "failures", "unreachable": "unreachable"}
        numbers = {name: self._counts.get(counted, 0) for name, counted in counts.items()}
        return Recap(**numbers, tasks=tuple(self._tasks), log=log)


def _failure(env: str, argv: Sequence[str], recap: Recap) -> PlaybookFailed | MachineUnreachable:
    again = f"Mend it, then run ./provision.py up {env} again: it goes on from where it stands."
    where = f"* Whole output: {recap.log}\n{describe(argv)}"
    stopped = next((task for task in reversed(recap.tasks) if task.status in ("failed", "unreachable")), None)
    if stopped is None:
        tail = recap.log.read_text(encoding="utf-8", errors="replace").splitlines()[1:][-LOG_TAIL:]
        return PlaybookFailed("Ansible stopped.", "\n".join([*tail, where]), again)
    details = f"{stopped.message}\n{where}"
    if stopped.status == "unreachable" and is_another_key(stopped.message):
        error = another_key(f"hangar-{env}", pinned(known_hosts(env)), stopped.message)
        error.details = f"{error.details}\n{where}".strip()
        return error
    if stopped.status == "unreachable":
        return MachineUnreachable(
            f"Ansible could not log in to the machine of {env}.",
            details,
            f"Look at it: ./provision.py status {env}",
        )
    return PlaybookFailed(f"Ansible stopped at “{stopped.title}”.", details, again)
