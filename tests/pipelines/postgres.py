"""A Postgres of its own on a free port, started by a user that is not root (Postgres refuses root)."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2
import pytest

ROLES = ("airbyte", "dbt", "loader", "reader")
WAREHOUSE = """
CREATE SCHEMA raw AUTHORIZATION airbyte;
CREATE SCHEMA bronze AUTHORIZATION dbt; CREATE SCHEMA silver AUTHORIZATION dbt; CREATE SCHEMA gold AUTHORIZATION dbt;
CREATE SCHEMA landing AUTHORIZATION loader; CREATE SCHEMA landing_staging AUTHORIZATION loader;
GRANT USAGE ON SCHEMA raw TO dbt; GRANT USAGE ON SCHEMA gold TO reader;
ALTER DEFAULT PRIVILEGES FOR ROLE airbyte IN SCHEMA raw GRANT SELECT ON TABLES TO dbt;
ALTER DEFAULT PRIVILEGES FOR ROLE dbt IN SCHEMA gold GRANT SELECT ON TABLES TO reader;
REVOKE ALL ON SCHEMA public FROM PUBLIC; REVOKE CREATE, TEMPORARY ON DATABASE warehouse FROM PUBLIC;
"""
"""The least privilege that the role `warehouse` gives: nobody makes schemas, each writes its own."""


@dataclass(frozen=True)
class Postgres:
    port: int

    def connect(self, user: str = "postgres", database: str = "warehouse") -> Any:
        password = f"password-of-{user}" if user in ROLES else None
        return psycopg2.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=password
        )

    def run(self, *statements: str, user: str = "postgres", database: str = "warehouse") -> None:
        with closing(self.connect(user, database)) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.cursor().execute(statement)

    def rows(self, query: str, user: str = "postgres") -> list[tuple[Any, ...]]:
        with closing(self.connect(user)) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return list(cursor.fetchall())

    def value(self, query: str, user: str = "postgres") -> Any:
        return self.rows(query, user)[0][0]

    def fresh_warehouse(self) -> None:
        self.run(
            "DROP DATABASE IF EXISTS warehouse WITH (FORCE)", "CREATE DATABASE warehouse", database="postgres"
        )
        self.run(WAREHOUSE)


def programs() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    if program := shutil.which("initdb"):
        return Path(program).parent
    pytest.fail(
        "Postgres is not installed, and the DAGs' tests run against a real one: apt install postgresql"
    )


@contextmanager
def private_postgres() -> Iterator[Postgres]:
    home = Path(tempfile.mkdtemp(prefix="pipelines-postgres-"))
    as_user = []
    if os.geteuid() == 0:
        shutil.chown(home, "nobody", "nogroup")
        as_user = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    control = [*as_user, str(programs() / "pg_ctl"), "-D", str(home / "data"), "-w"]
    options = f"-p {port} -k {home} -c listen_addresses=127.0.0.1 -c fsync=off"
    quiet = {"check": True, "stdout": subprocess.DEVNULL}
    subprocess.run([*control, "initdb", "-o", "-U postgres -A scram-sha-256 --auth-host=trust"], **quiet)
    rule = "".join(f"host all {role} 127.0.0.1/32 scram-sha-256\n" for role in ROLES)
    access = home / "data/pg_hba.conf"
    access.write_text(rule + access.read_text())
    subprocess.run([*control, "start", "-o", options, "-l", str(home / "log")], **quiet)
    try:
        server = Postgres(port)
        server.run(
            *(f"CREATE ROLE {role} LOGIN PASSWORD 'password-of-{role}'" for role in ROLES),
            database="postgres",
        )
        yield server
    finally:
        subprocess.run([*control, "stop", "-m", "immediate"], **quiet)
        shutil.rmtree(home)
