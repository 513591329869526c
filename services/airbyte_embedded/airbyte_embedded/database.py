"""SQLite: the service's own records. One connection, one thread; WAL, so that a reader never waits.

The schema grows by migrations, counted in `user_version`. A newer database than this program knows is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

MIGRATIONS = (
    """
    CREATE TABLE workspaces (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, notifications TEXT NOT NULL DEFAULT '{}',
        created_at INTEGER NOT NULL, deleted_at INTEGER);
    CREATE TABLE actors (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL CHECK (kind IN ('source', 'destination')),
        workspace_id TEXT NOT NULL REFERENCES workspaces(id), name TEXT NOT NULL, type TEXT NOT NULL,
        definition_id TEXT NOT NULL, configuration BLOB NOT NULL, catalog TEXT,
        created_at INTEGER NOT NULL, deleted_at INTEGER);
    CREATE TABLE connections (
        id TEXT PRIMARY KEY, workspace_id TEXT NOT NULL REFERENCES workspaces(id),
        source_id TEXT NOT NULL REFERENCES actors(id), destination_id TEXT NOT NULL REFERENCES actors(id),
        name TEXT NOT NULL, body TEXT NOT NULL, known_columns TEXT NOT NULL, status TEXT NOT NULL,
        status_reason TEXT, next_run REAL, created_at INTEGER NOT NULL, deleted_at INTEGER);
    CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT, connection_id TEXT NOT NULL REFERENCES connections(id),
        type TEXT NOT NULL, status TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
        rows INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0, reason TEXT,
        created_at REAL NOT NULL, started_at REAL, updated_at REAL NOT NULL, ended_at REAL);
    -- at most one unfinished job a connection, whatever the program does
    CREATE UNIQUE INDEX one_job_a_connection ON jobs(connection_id)
        WHERE status IN ('pending', 'running', 'incomplete');
    CREATE INDEX jobs_by_status ON jobs(status);
    CREATE TABLE applications (
        id TEXT PRIMARY KEY, name TEXT NOT NULL, client_id TEXT NOT NULL UNIQUE, secret_sha256 TEXT NOT NULL,
        scope TEXT NOT NULL, created_at INTEGER NOT NULL);
    """,
)

Row = sqlite3.Row


class NewerDatabase(Exception):
    """The database was written by a newer version of this program."""


class Database:
    """A connection with the pragmas and the schema in place."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.executescript(
            # FULL: a job that was answered for must not be forgotten when the power goes
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
            # temporary tables in memory: the root file system is read-only
            "PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY;"
        )
        self._migrate(path)

    def _migrate(self, path: Path) -> None:
        version = self._connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise NewerDatabase(f"{path} has schema {version}, this program knows up to {len(MIGRATIONS)}.")
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            self._connection.executescript(
                f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {number}; COMMIT;"
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything inside happens, or nothing."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._connection.in_transaction:  # a full disk has ended it already, and is what must be told
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def run(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        return self._connection.execute(sql, values)

    def one(self, sql: str, values: Sequence[Any] = ()) -> Row | None:
        row: Row | None = self._connection.execute(sql, values).fetchone()
        return row

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Row]:
        return self._connection.execute(sql, values).fetchall()

    def insert(self, table: str, values: dict[str, Any]) -> int:
        """Add a row; answers its rowid. `table` and the keys are ours, never a request's."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        cursor = self._connection.execute(
            f"INSERT INTO {table} ({names}) VALUES ({marks})", tuple(values.values())
        )
        return int(cursor.lastrowid or 0)

    def update(self, table: str, identifier: str | int, values: dict[str, Any]) -> None:
        sets = ", ".join(f"{name} = ?" for name in values)
        self._connection.execute(f"UPDATE {table} SET {sets} WHERE id = ?", (*values.values(), identifier))

    def close(self) -> None:
        self._connection.close()
