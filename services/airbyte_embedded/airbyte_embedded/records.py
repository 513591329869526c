"""Finding a record by its id, or answering Problem 404: deleted ones are not found. An id is the same in capitals."""

from __future__ import annotations

from airbyte_embedded.database import Database, Row
from airbyte_embedded.problems import not_found


def workspace(database: Database, identifier: str) -> Row:
    return _find(
        database, "SELECT * FROM workspaces WHERE id = ? AND deleted_at IS NULL", "workspace", identifier
    )


def source(database: Database, identifier: str) -> Row:
    return actor(database, "source", identifier)


def destination(database: Database, identifier: str) -> Row:
    return actor(database, "destination", identifier)


def actor(database: Database, kind: str, identifier: str) -> Row:
    row = database.one(
        "SELECT * FROM actors WHERE id = ? AND kind = ? AND deleted_at IS NULL", (identifier.lower(), kind)
    )
    if row is None:
        raise not_found(kind, identifier)
    return row


def connection(database: Database, identifier: str) -> Row:
    return _find(
        database, "SELECT * FROM connections WHERE id = ? AND deleted_at IS NULL", "connection", identifier
    )


def application(database: Database, identifier: str) -> Row:
    return _find(database, "SELECT * FROM applications WHERE id = ?", "application", identifier)


def job(database: Database, identifier: str) -> Row:
    if not (identifier.isascii() and identifier.isdigit() and len(identifier) < 19):
        raise not_found("job", identifier)
    return _find(database, "SELECT * FROM jobs WHERE id = ?", "job", identifier)


def _find(database: Database, sql: str, kind: str, identifier: str) -> Row:
    row = database.one(sql, (identifier.lower(),))
    if row is None:
        raise not_found(kind, identifier)
    return row
