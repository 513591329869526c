# Written by Hangar (role monitoring). Changes made here are lost at the next run.
"""The platform's services, each asked as its own users ask it."""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from hangar_bounds import web

from .figures import Figure, figure, named
from .run import MOST, Unmeasured, answer

TIMEOUT = 5.0
PASSWORDS = Path("/run/hangar-measure/private/pgpass")
NAMES = ["connections", "max_connections", "size_bytes", "oldest_transaction_seconds"]
QUESTION = """
select (select count(*) from pg_stat_activity where backend_type = 'client backend'),
       current_setting('max_connections')::int,
       (select sum(pg_database_size(datname)) from pg_database where datallowconn),
       coalesce((select extract(epoch from max(now() - xact_start)) from pg_stat_activity
                 where backend_type = 'client backend' and pid <> pg_backend_pid()), 0)
"""


def airflow(port: int) -> Iterator[Figure]:
    """What Airflow says of its parts' heartbeats; it asks nobody who they are for this."""
    try:
        said = _json(f"http://127.0.0.1:{port}/api/v2/monitor/health")
    except OSError:
        yield figure("hangar_airflow_healthy", 0, component="api-server")
        return
    yield figure("hangar_airflow_healthy", 1, component="api-server")
    for component, one in said.items():
        if isinstance(one, dict) and one.get("status"):
            yield figure("hangar_airflow_healthy", one["status"] == "healthy", component=named(component))


class Airbyte:
    """Jobs, through the public API, which both engines speak; with the operator's client, whose token is kept."""

    def __init__(self, port: int, credentials: str) -> None:
        self.base, self.folder = f"http://127.0.0.1:{port}/api/public/v1", Path(credentials)
        self.token, self.until = "", 0.0

    def measure(self) -> Iterator[Figure]:
        try:
            failed = self._jobs(status="failed", updatedAtStart=_iso(time.time() - 3600))
            running = self._jobs(status="running")
        except OSError as problem:
            if isinstance(problem, urllib.error.HTTPError):
                self.until = 0.0
            yield figure("hangar_airbyte_up", 0)
            return
        yield figure("hangar_airbyte_up", 1)
        yield figure("hangar_airbyte_jobs_failed_last_hour", len(failed))
        yield figure("hangar_airbyte_jobs_running", len(running))
        ages = [
            time.time() - datetime.fromisoformat(job["startTime"]).timestamp()
            for job in running
            if job.get("startTime")
        ]
        yield figure("hangar_airbyte_oldest_running_seconds", max(ages, default=0))

    def _jobs(self, **asked: str) -> list[dict[str, Any]]:
        query = urllib.parse.urlencode({"limit": 100, **asked})
        return list(
            _json(f"{self.base}/jobs?{query}", headers={"Authorization": f"Bearer {self._token()}"})["data"]
        )

    def _token(self) -> str:
        if time.monotonic() > self.until:
            client = {
                "client_id": self._secret("airbyte_client_id"),
                "client_secret": self._secret("airbyte_client_secret"),
            }
            said = _json(
                f"{self.base}/applications/token",
                json.dumps({**client, "grant_type": "client_credentials"}).encode(),
            )
            self.token, self.until = (
                said["access_token"],
                time.monotonic() + min(600, int(said.get("expires_in", 180))) / 2,
            )
        return self.token

    def _secret(self, name: str) -> str:
        return (self.folder / name).read_text().strip()


def warehouse(port: int, password: str) -> Iterator[Figure]:
    """Connections, size and the oldest transaction, as the role `monitor`."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/psql"))
    if not programs:
        raise Unmeasured("there is no psql")
    _keep_password(port, Path(password).read_text().strip())
    place = f"host=127.0.0.1 port={port} dbname=warehouse user=monitor connect_timeout=5 application_name=monitoring"
    argv = [
        str(programs[-1]),
        "--no-psqlrc",
        "--no-align",
        "--tuples-only",
        "--field-separator= ",
        place,
        "--command",
        QUESTION,
    ]
    try:
        said = answer(argv, env={"PGPASSFILE": str(PASSWORDS)}).split()
    except Unmeasured:
        yield figure("hangar_postgres_up", 0)
        raise
    yield figure("hangar_postgres_up", 1)
    for name, value in zip(NAMES, said, strict=True):
        yield figure(f"hangar_postgres_{name}", float(value))


def airflow_database(uid: int) -> Iterator[Figure]:
    """The same of Airflow's own database, which has no port: asked in its container, through its user's Docker."""
    argv = [
        "docker", "--host", f"unix:///run/user/{uid}/docker.sock", "exec", "--env", "PGCONNECT_TIMEOUT=5",
        "airflow-postgres-1", "psql", "--no-psqlrc", "--no-align", "--tuples-only", "--field-separator= ",
        "--host=/tmp", "--username=airflow", "--dbname=airflow", "--command", QUESTION,
    ]  # fmt: skip
    said = answer(argv, uid=uid, env={"DOCKER_CONFIG": "/nonexistent"}).split()
    for name, value in zip(NAMES, said, strict=True):
        yield figure(f"hangar_airflow_database_{name}", float(value))


def _keep_password(port: int, password: str) -> None:
    """In a file, since an argument or a variable would show it."""
    line = f"127.0.0.1:{port}:warehouse:monitor:{password}\n"
    if not PASSWORDS.exists() or PASSWORDS.read_text() != line:
        PASSWORDS.unlink(missing_ok=True)
        PASSWORDS.touch(mode=0o600)
        PASSWORDS.write_text(line)


def _json(url: str, body: bytes | None = None, headers: dict[str, str] | None = None) -> Any:
    asked = urllib.request.Request(
        url, body, {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    )
    with web().open(asked, timeout=TIMEOUT) as said:
        whole = said.read(MOST + 1)
    if len(whole) > MOST:
        raise Unmeasured(f"{url.split('?')[0]} says more than {MOST >> 20} MiB")
    return json.loads(whole)


def _iso(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
