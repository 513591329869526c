"""A machine whose Airflow knows one DAG; each look at a run lets it come one state further."""

from dataclasses import dataclass, field
from typing import Any

from hangar.elt.machine import AirflowRefused
from hangar.elt.records import Table
from hangar.errors import HangarError

TABLE = Table("customers", ("user_id",), 10_000)
FUTURE, PAST = "2999-01-01T00:00:00Z", "2020-01-01T00:00:00Z"


@dataclass
class FakeMachine:
    """`path` is the way that a run takes; `unread` counts the looks until Airflow has read the DAG."""

    tables: tuple[Table, ...] = ()
    released: bool = True
    unread: int = 0
    import_errors: list[dict[str, str]] = field(default_factory=list)
    next_run: str = FUTURE
    path: tuple[str, ...] = ("queued", "running", "success")
    runs: list[dict[str, Any]] = field(default_factory=list)
    is_paused: bool = True
    calls: list[str] = field(default_factory=list)
    trouble: list[HangarError] = field(default_factory=list)

    def is_released(self, dag: str) -> bool:
        return self.released and dag == "elt"

    def gold(self) -> tuple[Table, ...]:
        return self.tables

    def add(self, id: str, *path: str) -> None:
        self.runs.insert(0, {"dag_run_id": id, "path": list(path)})

    def airflow(self, method: str, path: str, what: str, body: Any = None) -> Any:
        self.calls.append(f"{method} {path.partition('?')[0].removeprefix('/api/v2')}")
        if "importErrors" in path:
            return {"import_errors": self.import_errors}
        if self.unread:
            self.unread -= 1
            raise AirflowRefused(what, 404, "The DAG with ID: `elt` was not found", "")
        if method == "PATCH":
            self.is_paused = bool(body["is_paused"])
            if self.next_run == PAST:
                self.add("scheduled__1", *self.path)
            return {"next_dagrun_run_after": self.next_run}
        if method == "POST":
            self.add(body["dag_run_id"], *self.path)
            return self._look(self.runs[0])
        return self._read(path)

    def _read(self, path: str) -> Any:
        if "/logs/" in path:
            return {"content": [
                {"event": "Task failed with exception", "error_detail": [
                    {"exc_type": "ConnectError", "exc_value": "refused"},
                    {"exc_type": "AirflowException", "exc_value": "Airbyte's job 1 failed: the disk is full"},
                ]},
                {"event": "Task finished"},
            ]}  # fmt: skip
        if "taskInstances" in path:
            state = "failed" if "state=failed" in path else "running"
            return {"task_instances": [{"task_id": "sync", "state": state, "try_number": 2}]}
        name = path.partition("/dagRuns/")[2]
        if name and self.trouble:
            raise self.trouble.pop(0)
        if name:
            run = next(run for run in self.runs if run["dag_run_id"] == name.replace("%3A", ":"))
            if len(run["path"]) > 1 and not self.is_paused:
                del run["path"][0]
            if run["path"][0] == "success":
                self.tables = (TABLE,)
            return self._look(run)
        found = [run for run in self.runs if "state=success" not in path or run["path"][0] == "success"]
        return {"dag_runs": [self._look(run) for run in found]}

    def _look(self, run: dict[str, Any]) -> dict[str, Any]:
        state = run["path"][0]
        ended = "2026-11-25T04:20:41Z" if state in ("success", "failed") else None
        return {"dag_run_id": run["dag_run_id"], "state": state, "end_date": ended}
