"""Can the destination be written to? Reads {type, config} from its input; says why not, exit 1."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import psycopg2

CONNECT_SECONDS = 10
RESERVED = "SELECT 1 FROM pg_get_keywords() WHERE word = %s AND catcode IN ('R', 'T')"


def ssl_mode(config: dict[str, Any]) -> str:
    """Libpq's sslmode for Airbyte's two ways to say it; encrypted where the server can, as libpq has it."""
    if "ssl_mode" in config:
        return str(config["ssl_mode"]["mode"])
    return "require" if config.get("ssl") else "prefer"


def postgres(config: dict[str, Any]) -> str | None:
    """What keeps this account from making its tables; None when nothing does."""
    connection = psycopg2.connect(
        host=config["host"],
        port=config["port"],
        dbname=config["database"],
        user=config["username"],
        password=config.get("password", ""),
        sslmode=ssl_mode(config),
        connect_timeout=CONNECT_SECONDS,
    )
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (config["schema"],))
        if cursor.fetchone():
            cursor.execute("SELECT has_schema_privilege(%s, 'CREATE, USAGE')", (config["schema"],))
            lacking = f"the account may not create tables in the schema {config['schema']}"
        else:
            cursor.execute("SELECT has_database_privilege(current_database(), 'CREATE')")
            lacking = f"there is no schema {config['schema']}, and the account may not create one"
        (allowed,) = cursor.fetchone() or (False,)
        # PyAirbyte writes a schema's name into SQL as it is
        cursor.execute(RESERVED, (config["schema"],))
        if cursor.fetchone():
            allowed, lacking = (
                False,
                f"{config['schema']} is a word of SQL's own, and cannot be the schema's name",
            )
    connection.close()
    return None if allowed else lacking


def duckdb(config: dict[str, Any]) -> str | None:
    """What keeps this account from writing the file; None when nothing does."""
    folder = Path(config["destination_path"]).parent
    folder.mkdir(parents=True, exist_ok=True)
    if Path(config["destination_path"]).is_dir():
        return "destination_path is a folder"
    return None


def parquet(config: dict[str, Any]) -> str | None:
    """What keeps this account from writing into the folder; None when nothing does."""
    folder = Path(config["destination_path"])
    if folder.exists() and not folder.is_dir():
        return "destination_path is a file"
    folder.mkdir(parents=True, exist_ok=True)
    return None if os.access(folder, os.W_OK) else "the folder may not be written to"


CHECKS = {"postgres": postgres, "duckdb": duckdb, "parquet": parquet}


def main() -> int:
    wanted = json.load(sys.stdin)
    try:
        lacking = CHECKS[wanted["type"]](wanted["config"])
    except (psycopg2.Error, OSError) as error:
        lacking = str(error).strip()
    if lacking:
        sys.stdout.write(lacking)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
