"""What a playbook is doing, as JSON lines for the program that started it.

Writes to the file descriptor named by HANGAR_EVENTS_FD and is silent without it.
Lines: `play` (name, tasks), `task` (number, role, name), `result` (role, name,
status, seconds, message), `recap` (counts a host).
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from typing import Any

from ansible.playbook.block import Block
from ansible.playbook.task import Task
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: hangar_events
type: notification
short_description: Writes what happens as JSON lines
description:
  - For the program that started the playbook; it names the file descriptor in HANGAR_EVENTS_FD.
"""

HIDDEN = "(not shown: the task handles secrets)"
MESSAGE_LIMIT = 4000
NOT_RUN = "Command would have run if not in check mode"
"""What `command` says in check mode. It calls that skipped, whatever `changed_when` says; for a plan it is a change."""
SPEC_CHECK = "Validating arguments against arg spec"


def count_tasks(blocks: list[Any], only: Any, skip: Any) -> int:
    """Count the tasks that these tags let through; includes may add more while the play runs."""
    total = 0
    for part in blocks:
        if isinstance(part, Block):
            total += count_tasks(part.block, only, skip)
        elif isinstance(part, Task):
            total += bool(not part.implicit and part.action != "meta" and part.evaluate_tags(only, skip, {}))
    return total


def message(result: dict[str, Any]) -> str:
    """Say why a task failed: its message, then what the program wrote."""
    parts = [str(result[key]).strip() for key in ("msg", "stderr", "stdout") if result.get(key)]
    return "\n".join(dict.fromkeys(part for part in parts if part))[:MESSAGE_LIMIT]


class CallbackModule(CallbackBase):
    """Turns Ansible's calls into lines."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "hangar_events"

    def __init__(self) -> None:
        super().__init__()
        self._number, self._began, self._stream = 0, 0.0, None
        self._items: list[str] = []  # why items of the running task's loop failed
        self._not_run: Counter[str] = Counter()  # how many commands each host would have run
        descriptor = os.environ.get("HANGAR_EVENTS_FD", "")
        if not descriptor.isdigit():
            self.disabled = True
            return
        # SSH's master process outlives the playbook; holding this, it would keep the reader waiting.
        os.set_inheritable(int(descriptor), False)
        self._stream = os.fdopen(int(descriptor), "w", buffering=1, encoding="utf-8")

    def _write(self, event: str, **fields: Any) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(json.dumps({"event": event, **fields}) + "\n")
        except BrokenPipeError:
            self._stream = None  # nobody listens any more; the play goes on

    def v2_playbook_on_play_start(self, play: Any) -> None:
        """A play begins."""
        tasks = count_tasks(play.compile(), play.only_tags, play.skip_tags)
        self._write("play", name=play.get_name(), tasks=tasks)

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:
        """A task begins."""
        del is_conditional
        self._number, self._began, self._items = self._number + 1, time.monotonic(), []
        self._write("task", number=self._number, **self._title(task))

    def v2_playbook_on_handler_task_start(self, task: Any) -> None:
        """A handler begins."""
        self.v2_playbook_on_task_start(task, False)

    @staticmethod
    def _title(task: Any) -> dict[str, str]:
        role = task._role.get_name() if task._role else ""
        name = str(task.name or task.action)
        return {"role": role, "name": "Check the options" if name.startswith(SPEC_CHECK) else name}

    def _result(self, result: Any, status: str) -> None:
        task, fields = result._task, result._result
        hidden = task.no_log or "censored" in fields
        wanted = status in ("failed", "ignored", "unreachable")
        text = "" if not wanted else HIDDEN if hidden else "\n".join([message(fields), *self._items])
        seconds = round(time.monotonic() - self._began, 3)
        self._write("result", status=status, seconds=seconds, message=text, **self._title(task))

    def v2_runner_on_ok(self, result: Any) -> None:
        """A task came to its end."""
        self._result(result, "changed" if result._result.get("changed") else "ok")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """A task was not wanted; or a command that changes something was not run, in check mode."""
        fields = result._result
        said = [one.get("msg") for one in (fields, *fields.get("results", ()))]
        if NOT_RUN in said and result._task.changed_when != [False]:
            self._not_run[result._host.get_name()] += 1
            self._result(result, "changed")
        else:
            self._result(result, "skipped")

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """A task failed."""
        self._result(result, "ignored" if ignore_errors else "failed")

    def v2_runner_item_on_failed(self, result: Any) -> None:
        """One item of a loop failed; the task's own result does not say why in every release."""
        self._items.append(message(result._result))

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """The machine does not answer."""
        self._result(result, "unreachable")

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The playbook is over."""
        hosts = {host: stats.summarize(host) for host in sorted(stats.processed)}
        for host, count in self._not_run.items():
            hosts[host]["changed"] += count
            hosts[host]["skipped"] -= count
        self._write("recap", hosts=hosts)
