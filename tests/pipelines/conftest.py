"""An Airflow without its services, and a Postgres of its own with the warehouse's roles. Runs under `make dags`."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

REPO = Path(__file__).resolve().parents[2]
BUNDLE = REPO / "pipelines" / "dags"
HERE = Path(tempfile.mkdtemp(prefix="pipelines-"))

# Airflow reads its settings while it is imported.
os.environ.update(
    AIRFLOW_HOME=str(HERE),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    AIRFLOW__CORE__DAGS_FOLDER=str(BUNDLE),
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    AIRFLOW__SECRETS__BACKEND="airflow.secrets.local_filesystem.LocalFilesystemBackend",
    AIRFLOW__SECRETS__BACKEND_KWARGS=json.dumps({"connections_file_path": str(HERE / "connections.json")}),
    PIPELINE_DATA=str(HERE / "data"),
    **{
        f"{tool.upper()}_ENVIRONMENT": os.environ.get(
            f"{tool.upper()}_ENVIRONMENT", str(REPO / ".venv-pipelines" / tool)
        )
        for tool in ("dbt", "dlt")
    },
)
sys.path[:0] = [str(BUNDLE), str(Path(__file__).parent)]

import shop  # noqa: E402 - after the settings, as everything that follows
from postgres import Postgres, private_postgres  # noqa: E402
from stand_in_airbyte import StandIn, serve  # noqa: E402

FAKER = "11111111-1111-4111-8111-111111111111"


@pytest.fixture(scope="session")
def cluster() -> Iterator[Postgres]:
    with private_postgres() as server:
        yield server


@pytest.fixture
def warehouse(cluster: Postgres) -> Postgres:
    """An empty warehouse with the roles that the machine's has."""
    cluster.fresh_warehouse()
    return cluster


@pytest.fixture(scope="session", autouse=True)
def airflow_database() -> None:
    from airflow.utils import db

    (HERE / "connections.json").write_text("{}")
    db.initdb()


@pytest.fixture
def connections(warehouse: Postgres) -> Iterator[Callable[..., None]]:
    """Set Airflow's connections, in the file that the machine's Airflow reads them from too."""
    path = HERE / "connections.json"
    known: dict[str, Any] = {
        f"warehouse_{role}": {
            "conn_type": "postgres", "host": "127.0.0.1", "port": warehouse.port, "schema": "warehouse",
            "login": role, "password": f"password-of-{role}",
        }
        for role in ("dbt", "loader")
    }  # fmt: skip

    def put(**more: Any) -> None:
        known.update(more)
        path.write_text(json.dumps(known))

    put()
    yield put
    path.write_text("{}")


@pytest.fixture
def airbyte(warehouse: Postgres, connections: Callable[..., None]) -> Iterator[StandIn]:
    """A stand-in that holds one connection and writes eight people and their purchases."""
    stand_in = StandIn({FAKER: "faker_to_warehouse"}, sync=shop.sync(warehouse))
    server = serve(stand_in)
    login = {"login": "client", "password": "secret"}
    connections(airbyte_default={"conn_type": "airbyte", "host": stand_in.address, **login})
    yield stand_in
    server.shutdown()


@pytest.fixture
def run() -> Callable[..., Any]:
    """Run a DAG to its end; answers the run and what its failed tasks said."""
    from runs import run_dag

    return lambda name, change=lambda task: None, **conf: run_dag(name, conf, change)


@pytest.fixture
def drop(tmp_path: Path, warehouse: Postgres, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Put a zip file into the folder and have it taken; answers what became of everything there."""
    import psycopg
    from drops import FEEDS, SMALL, packed
    from file_drop import folders, take

    monkeypatch.setattr(folders, "SETTLED", -1.0)
    place = folders.Folders.under(tmp_path)
    login = {"host": "127.0.0.1", "port": warehouse.port, "dbname": "warehouse", "user": "loader"}
    session = partial(psycopg.connect, password="password-of-loader", options="-c timezone=UTC", **login)

    def put(name: str = "orders-1.zip", **members: Any) -> Any:
        (place.arrivals / name).write_bytes(packed(members))
        return take_now()

    def take_now(limits: Any = SMALL) -> Any:
        return take.take_all(place, FEEDS, session, limits)

    put.take, put.place, put.session = take_now, place, session  # type: ignore[attr-defined]
    return put
