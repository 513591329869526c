"""The machine's end of the first run: asks Airflow and the warehouse for the controller, and keeps their passwords.

The controller sends this text over SSH and root's python3 runs it (standard library alone). It reads one JSON request
a line and answers each with one line. Airflow is asked through its own API with a log-in, as anybody would; the
warehouse is asked by the account `reader`, which may read gold and nothing else.
"""

import http.client
import json
import os
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from hangar_bounds import excuse, run, web, whole

from hangar.serving import Refusal, answered, serve

RELEASED = Path("/srv/airflow/released/current")
AIRFLOW_PASSWORD = Path("/srv/airflow/secrets/admin_password")
READER_PASSWORD = Path("/srv/warehouse/secrets/reader")
PSQL = "/usr/bin/psql"
LOGIN = "/auth/token"
SECONDS = 30
"""For one answer."""

PATIENCE = 180.0
"""For a question that changes nothing: the first answers of an Airflow that has just started, on a busy machine, take
longer than one of them may.
"""

FIRST_ROWS = 5
SHOWN = 1000
"""Letters of a value. Whoever shapes gold may put any number of them there, and root takes them in."""

TABLES = """
select coalesce(json_agg(json_build_array(relname, columns) order by relname), '[]') from (
    select c.oid, relname, json_agg(attname order by attnum) as columns
    from pg_class c join pg_namespace n on n.oid = relnamespace join pg_attribute a on attrelid = c.oid
    where nspname = 'gold' and relkind in ('r', 'p', 'v', 'm') and attnum > 0 and not attisdropped
        and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')
    group by c.oid, relname
) found
"""


class Airflow:
    """Airflow's public API as its generated administrator."""

    def __init__(self, port: int) -> None:
        self._url = f"http://127.0.0.1:{port}"
        self._token = ""
        # Airflow is on this machine: no proxy of the environment has a part in it.
        self._open = web().open

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """The answer's data. A token that has run out is renewed once."""
        for attempt in (1, 2):
            if not self._token:
                login = {"username": "admin", "password": AIRFLOW_PASSWORD.read_text().strip()}
                self._token = str(self._send("POST", LOGIN, login)["access_token"])
            try:
                return self._send(method, path, body)
            except Refusal as refusal:
                if refusal.answer.get("status") != 401 or attempt == 2:
                    raise
                self._token = ""
        return None

    def _send(self, method: str, path: str, body: Any) -> Any:
        """The answer's data; a question that changes nothing is asked again where it found nobody in time."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                return self._once(method, path, body)
            except Refusal as refusal:
                changes = method != "GET" and path != LOGIN
                if changes or refusal.answer["kind"] != "late" or time.monotonic() > until:
                    raise

    def _once(self, method: str, path: str, body: Any) -> Any:
        headers = {"Accept": "application/json", "Content-Type": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._url + path, data=data, headers=headers, method=method)
        try:
            with self._open(request, timeout=SECONDS) as answer:
                return json.loads(whole(answer, SECONDS) or b"null")
        except urllib.error.HTTPError as error:
            raise Refusal("refused", said(excuse(error, SECONDS)), status=error.code) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = getattr(error, "reason", error)
            kind = "late" if isinstance(why, TimeoutError) else "unreachable"
            raise Refusal(kind, f"{self._url}: {why}") from None


def said(text: str) -> str:
    """What Airflow's answer says to people."""
    try:
        found = json.loads(text)
    except ValueError:
        return text.strip()[:2000]
    detail = found.get("detail") if isinstance(found, dict) else None
    return detail if isinstance(detail, str) else json.dumps(detail or found)[:2000]


def query(port: int, sql: str) -> Any:
    """The one JSON value that a query answers, asked as `reader`. The password is in no argument and no variable:
    psql reads it from memory that only it was given.
    """
    descriptor = os.memfd_create("passfile")
    try:
        os.fchmod(descriptor, 0o600)
        os.write(descriptor, f"*:*:*:*:{READER_PASSWORD.read_text().strip()}\n".encode())
        argv = [PSQL, "-XAtqw", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(port)]
        done = run(
            [*argv, "-U", "reader", "-d", "warehouse", "-f", "-"],
            seconds=SECONDS, text=sql, pass_fds=[descriptor],
            env={"PATH": "/usr/bin:/bin", "PGPASSFILE": f"/proc/self/fd/{descriptor}", "PGCONNECT_TIMEOUT": "10"},
        )  # fmt: skip
    except OSError as error:
        raise Refusal("warehouse", f"{PSQL}: {error}") from None
    finally:
        os.close(descriptor)
    if done.returncode:
        raise Refusal("warehouse", done.stderr.strip())
    return json.loads(done.stdout)


def name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def gold(port: int, shown: list[str]) -> list[dict[str, Any]]:
    """Each table of gold with its columns, the number of its rows and, where it is one of `shown`, its first rows."""
    tables = query(port, TABLES)
    if not tables:
        return []
    parts = []
    for table, columns in tables:
        place = f"gold.{name(table)}"
        listed = ", ".join(f"left({name(column)}::text, {SHOWN})" for column in columns)
        some = f"(select * from {place} order by 1 limit {FIRST_ROWS}) part"
        rows = f"(select json_agg(json_build_array({listed})) from {some})"
        first = rows if table in shown else "null::json"
        parts.append(f"json_build_array((select count(*) from {place}), {first})")
    figures = query(port, f"select json_build_array({', '.join(parts)})")
    return [
        {"name": table, "columns": columns, "rows": rows, "first": first or []}
        for (table, columns), (rows, first) in zip(tables, figures, strict=True)
    ]


class Agent:
    """One request, one answer."""

    def __init__(self) -> None:
        self._airflow: Airflow | None = None

    def released(self, dag: str) -> bool:
        return (RELEASED / dag / "dag.py").is_file()

    def gold(self, port: int, shown: list[str]) -> Any:
        return gold(port, shown)

    def airflow(self, port: int, method: str, path: str, body: Any = None) -> Any:
        self._airflow = self._airflow or Airflow(port)
        return self._airflow.call(method, path, body)

    def answer(self, line: str) -> dict[str, Any]:
        return answered(self, ("released", "gold", "airflow"), line)


if __name__ == "__main__":
    serve(Agent())
