"""A real Postgres for the tests: Debian's, over a folder of its own, on a free port, never as root."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

from tests.server import WORKER, free_port

BIN = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)), None)
PASSWORD = "p@ss/w:rd %41"  # everything that breaks a URL

needs_postgres = pytest.mark.skipif(
    BIN is None, reason="Postgres is not installed here: apt-get install postgresql"
)


def _as_nobody() -> dict[str, Any]:
    """Postgres refuses to run as root."""
    if os.getuid() != 0:
        return {}
    account = pwd.getpwnam("nobody")
    return {"user": account.pw_uid, "group": account.pw_gid}


class Postgres:
    def __init__(self) -> None:
        # not in pytest's own folder: each start of pytest closes that to every other account
        self.folder, self.port = Path(tempfile.mkdtemp(prefix="airbyte-embedded-postgres-")), free_port()
        if account := _as_nobody():
            os.chown(self.folder, account["user"], account["group"])
        folder = self.folder
        password = folder / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self._run("initdb", "-D", str(folder / "db"), "-U", "loader", "-A", "scram-sha-256", "--no-sync",
                  "--pwfile", str(password))  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def _run(self, program: str, *arguments: str) -> None:
        assert BIN
        subprocess.run(
            [BIN / program, *arguments], cwd=self.folder, check=True, capture_output=True, **_as_nobody()
        )

    def start(self) -> Postgres:
        assert BIN
        log = (self.folder / "postgres.log").open("ab")
        self.process = subprocess.Popen(
            [BIN / "postgres", "-D", self.folder / "db", "-p", str(self.port), "-k", self.folder, "-h", "127.0.0.1"],
            cwd=self.folder, stdout=log, stderr=log, **_as_nobody(),
        )  # fmt: skip
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if subprocess.run(
                [BIN / "pg_isready", "-h", "127.0.0.1", "-p", str(self.port)], capture_output=True, check=False
            ).returncode == 0:  # fmt: skip
                return self
            time.sleep(0.1)
        raise AssertionError("Postgres did not start")

    def kill(self) -> None:
        """As when the power goes: every backend at once, the folder as it stands."""
        assert self.process
        self.process.send_signal(
            signal.SIGQUIT
        )  # Postgres's immediate shutdown: no checkpoint, recovery at start
        self.process.wait(30)

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def config(self, **more: Any) -> dict[str, Any]:
        return {
            "host": "127.0.0.1", "port": self.port, "database": "postgres", "username": "loader",
            "password": PASSWORD, "ssl_mode": {"mode": "disable"}, **more,
        }  # fmt: skip

    def query(self, sql: str, user: str = "loader") -> list[tuple[Any, ...]]:
        """As the account of the destination, or as one whose password is its name."""
        password = PASSWORD if user == "loader" else user
        return query(
            "import psycopg2\n"
            f"c = psycopg2.connect(host='127.0.0.1', port={self.port}, dbname='postgres', user={user!r},"
            f" password={password!r})\nc.autocommit = True\nq = c.cursor()\nq.execute({sql!r})\n"
            "rows = q.fetchall() if q.description else []"
        )


def duckdb(path: Path, sql: str) -> list[tuple[Any, ...]]:
    return query(
        f"import duckdb\nrows = duckdb.connect({str(path)!r}, read_only=True).execute({sql!r}).fetchall()"
    )


def parquet(folder: Path, sql: str) -> list[tuple[Any, ...]]:
    """Asked as somebody does who knows the files alone."""
    views = "".join(
        f"c.execute(\"CREATE VIEW {file.stem} AS SELECT * FROM '{file}'\")\n"
        for file in folder.glob("[!.]*.parquet")
    )
    return query(f"import duckdb\nc = duckdb.connect()\n{views}rows = c.execute({sql!r}).fetchall()")


def query(script: str) -> list[tuple[Any, ...]]:
    """On the worker's Python, which has the drivers."""
    import json

    script += "\nimport json\nprint(json.dumps(rows, default=str))"
    done = subprocess.run([WORKER, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [tuple(row) for row in json.loads(done.stdout)]
