"""Start a program that has a Python environment of its own, with as little of Airflow's environment as it needs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.providers.standard.hooks.subprocess import SubprocessHook
from airflow.sdk import BaseOperator

INHERITED = ("PATH", "LANG", "TZ", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


class Program(BaseOperator):
    """For operators that start a program: its output goes to the task's log, and it ends with the task."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.hook: SubprocessHook | None = None

    def start(self, argv: Sequence[str], environment: dict[str, str], folder: Path) -> tuple[int, str]:
        """Run it to its end; answers its exit code and its last line. Secrets go into `environment`, never `argv`."""
        inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
        self.hook = SubprocessHook()
        done = self.hook.run_command(list(argv), env=inherited | environment, cwd=str(folder))
        return done.exit_code, done.output

    def on_kill(self) -> None:
        if self.hook:
            self.hook.send_sigterm()
