"""Wait for files without a worker: the triggerer looks into the folder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from airflow.providers.standard.triggers.file import FileTrigger
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator
from file_drop.folders import Folders

EVERY = 10.0
"""Seconds between two looks."""


class Watch(BaseOperator):
    """Done when a file is complete, or when a killed run has left one behind."""

    def __init__(self, *, root: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.root = str(root)

    def execute(self, context: Any, event: Any = None) -> None:
        folders = Folders.under(Path(self.root))
        if folders.settled() or next(folders.left_over(), None):
            return
        if folders.waiting():  # an upload goes on
            trigger: Any = TimeDeltaTrigger(timedelta(seconds=EVERY))
        else:
            trigger = FileTrigger(f"{folders.arrivals}/[!.]*", poke_interval=EVERY)
        self.defer(trigger=trigger, method_name="execute")
