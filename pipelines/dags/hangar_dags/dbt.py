"""Run dbt from a DAG, in its own Python environment, on the warehouse of an Airflow connection."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from airflow.sdk import BaseHook, Connection
from airflow.sdk.exceptions import AirflowException

from hangar_dags.places import DATA, program
from hangar_dags.program import Program


def environment(connection: Connection, work: Path) -> dict[str, str]:
    """What profiles.yml reads, and where dbt writes; the DAG's folder is read-only."""
    return {
        "HOME": str(work),
        "PGTZ": "UTC",
        "DBT_TARGET_PATH": str(work / "target"),
        "DBT_LOG_PATH": str(work / "logs"),
        "WAREHOUSE_HOST": connection.host or "localhost",
        "WAREHOUSE_PORT": str(connection.port or 5432),
        "WAREHOUSE_USER": connection.login or "",
        "WAREHOUSE_DATABASE": connection.schema or "warehouse",
        "DBT_ENV_SECRET_WAREHOUSE_PASSWORD": connection.password or "",
    }


def failures(results: Path) -> list[str]:
    """What dbt found wrong, from its run_results.json or sources.json; nothing where it wrote none."""
    if not results.exists():
        return []
    return [
        f"{named(result['unique_id'])}: {said(result)}"
        for result in json.loads(results.read_text())["results"]
        if result["status"] in ("error", "fail", "runtime error")
    ]


def named(unique_id: str) -> str:
    """`source.shop.raw.users` is raw.users; a test's or a model's own name is the third part."""
    kind, _, *rest = unique_id.split(".")
    return ".".join(rest) if kind == "source" else rest[0]


def said(result: dict[str, Any]) -> str:
    if "max_loaded_at" in result:
        return f"its newest row is of {result['max_loaded_at']}"
    return str(result.get("message") or result.get("error") or result["status"])


class Dbt(Program):
    """Run one command of dbt, and fail with what its models or tests say.

    :param arguments: the command and its options, as on a command line.
    :param project: folder of the project; profiles.yml lies in it.
    :param conn_id: Airflow's connection to the warehouse.
    :param keep: a file of dbt's target folder that is put to a place of its own when dbt succeeds.
    """

    template_fields: Sequence[str] = ("arguments",)

    def __init__(
        self,
        *,
        arguments: Sequence[str],
        project: Path,
        conn_id: str = "warehouse_dbt",
        keep: tuple[str, Path] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.arguments = list(arguments)
        self.project = str(project)
        self.conn_id = conn_id
        self.keep = keep and (keep[0], str(keep[1]))

    def execute(self, context: Any) -> None:
        work = DATA / "dbt" / Path(self.project).parent.name
        work.mkdir(parents=True, exist_ok=True)
        results = work / "target" / ("sources.json" if self.arguments[0] == "source" else "run_results.json")
        results.unlink(missing_ok=True)  # of an earlier run
        code, line = self.start(
            [str(program("dbt") / "dbt"), *self.arguments, "--profiles-dir", self.project],
            environment(BaseHook.get_connection(self.conn_id), work),
            Path(self.project),
        )
        if code:
            wrong = failures(results) or [line or f"exit code {code}; the log above says more"]
            raise AirflowException(f"dbt {self.arguments[0]}: {'; '.join(wrong)}")
        if self.keep:
            put(work / "target" / self.keep[0], Path(self.keep[1]))


def put(source: Path, target: Path) -> None:
    """Copy a file so that whoever reads the target never sees half of it."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f".{target.name}.half")
    shutil.copyfile(source, half)
    half.replace(target)
