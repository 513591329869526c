# Written by Hangar (role maintenance). Changes made here are lost at the next run.
"""Airflow through its own API: its pools, and which tasks run."""

import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from hangar_bounds import Unbounded, excuse, web, whole

PASSWORD = Path("/srv/airflow/secrets/admin_password")
TIMEOUT = 30.0
MOST, LONGEST = 16 << 20, 120.0
"""Bytes of an answer, and seconds that it may take to come: who writes DAGs chooses what much of it says."""

BUSY = ("running", "queued", "restarting")
"""States of a task that has begun, or that an executor has already. One that waits for a trigger goes on afterwards."""


class Unreachable(Exception):
    """Airflow did not do what it was asked, and why."""


class Airflow:
    """As the generated administrator."""

    def __init__(self, port: int, password: Path = PASSWORD) -> None:
        self._base, self._password, self._token = f"http://127.0.0.1:{port}", password, ""
        self._open = web().open

    def pools(self) -> dict[str, int]:
        """The slots of each pool, by its name."""
        return {one["name"]: int(one["slots"]) for one in self._pools()}

    def set_slots(self, slots: dict[str, int]) -> None:
        """Gives these pools so many slots. A pool that somebody has removed is left out."""
        for one in self._pools():
            if one["name"] in slots:
                name = urllib.parse.quote(one["name"], safe="")
                # Airflow checks the whole pool, though the mask says that one field changes.
                pool = {
                    "pool": one["name"],
                    "include_deferred": one["include_deferred"],
                    "slots": slots[one["name"]],
                }
                self._call("PATCH", f"/pools/{name}?update_mask=slots", pool)

    def _pools(self) -> list[dict[str, Any]]:
        return list(self._call("GET", "/pools?limit=1000")["pools"])

    def busy(self) -> list[str]:
        """The tasks that run or are about to, as DAG.TASK."""
        states = urllib.parse.urlencode([("state", state) for state in BUSY])
        said = self._call("GET", f"/dags/~/dagRuns/~/taskInstances?{states}&limit=100")
        return sorted(f"{one['dag_id']}.{one['task_id']}" for one in said["task_instances"])

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's data. A token that has run out is renewed."""
        try:
            try:
                return self._send(method, f"/api/v2{path}", body, self._token or self._log_in())
            except urllib.error.HTTPError as problem:
                if problem.code != 401:
                    raise
                return self._send(method, f"/api/v2{path}", body, self._log_in())
        except urllib.error.HTTPError as problem:
            text = excuse(problem, LONGEST)[:300]
            said = "".join(letter if letter.isprintable() else " " for letter in text)
            raise Unreachable(f"Airflow refused {method} {path}: HTTP {problem.code}, {said}") from problem
        except Unbounded as problem:
            raise Unreachable(f"Airflow's answer to {method} {path} {problem}") from problem
        except (OSError, http.client.HTTPException, ValueError, KeyError) as problem:
            raise Unreachable(f"Airflow does not answer: {problem}") from problem

    def _log_in(self) -> str:
        login = {"username": "admin", "password": self._password.read_text().strip()}
        self._token = str(self._send("POST", "/auth/token", login)["access_token"])
        return self._token

    def _send(self, method: str, path: str, body: Any, token: str = "") -> Any:
        data = None if body is None else json.dumps(body).encode()
        head = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            head["Authorization"] = f"Bearer {token}"
        request = urllib.request.Request(self._base + path, data, head, method=method)
        return json.loads(whole(self._open(request, timeout=TIMEOUT), LONGEST, MOST) or b"null")
