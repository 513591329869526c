"""Airflow's Airbyte provider as a client, on a Python of its own: Airflow is too large for this environment.

`make dags` makes one; AIRBYTE_EMBEDDED_AIRFLOW_PYTHON names another with `apache-airflow` and
`apache-airflow-providers-airbyte`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.server import ORCHESTRATOR, Server

REPO = Path(__file__).resolve().parents[3]
PYTHON = Path(os.environ.get("AIRBYTE_EMBEDDED_AIRFLOW_PYTHON", REPO / ".venv-pipelines/airflow/bin/python"))
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not PYTHON.exists(),
        reason="there is no Python with the provider: make dags, or AIRBYTE_EMBEDDED_AIRFLOW_PYTHON",
    ),
]
SCRIPT = """
import sys
from airflow.providers.airbyte.hooks.airbyte import AirbyteHook
from airflow.providers.airbyte.operators.airbyte import AirbyteTriggerSyncOperator

hook = AirbyteHook()
print("health", hook.test_connection())
job = hook.submit_sync_connection(connection_id=sys.argv[1]).job_id
print("status", hook.get_job_status(job) if hasattr(hook, "get_job_status") else "")
hook.cancel_job(job)
print("cancelled", hook.get_job_details(job).status)
ended = AirbyteTriggerSyncOperator(task_id="sync", connection_id=sys.argv[2], wait_seconds=1).execute({})
print("operator", hook.get_job_details(ended).status)
"""


def test_the_provider_starts_watches_and_cancels_jobs(
    make_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = make_server(connector="faker")
    made = []
    for behaviour in ("slow", "plain"):
        configuration = {
            "sourceType": "faker",
            "behaviour": behaviour,
            "rows": 1000 if behaviour == "slow" else 10,
        }
        source = server.make(
            "/sources", name=behaviour, workspaceId=server.workspace, configuration=configuration
        )
        made.append(server.connection(source["sourceId"], server.destination()))
    connection = {
        "conn_type": "airbyte",
        "host": server.base,
        "login": ORCHESTRATOR[0],
        "password": ORCHESTRATOR[1],
    }
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "AIRFLOW_CONN_AIRBYTE_DEFAULT": json.dumps(connection),
    }
    done = subprocess.run(
        [str(PYTHON), "-W", "ignore", "-c", SCRIPT, *made],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "health (True" in done.stdout
    assert "cancelled JobStatusEnum.CANCELLED" in done.stdout or "cancelled cancelled" in done.stdout
    assert "operator JobStatusEnum.SUCCEEDED" in done.stdout or "operator succeeded" in done.stdout
