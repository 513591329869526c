"""The rows of an archive into the warehouse: all of them or none, and the same content only once."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from typing import Any

from file_drop.archive import Limits
from file_drop.feeds import IN_POSTGRES, Feed
from file_drop.records import Content, rows
from psycopg import sql

SCHEMA = "landing"
LEDGER = sql.Identifier(SCHEMA, "file_drop_contents")
"""One line for each content of a feed. A row's `_content` leads here."""


def ensure_tables(cursor: Any, feed: Feed) -> sql.Identifier:
    """The feed's table; made with its first file, and given the columns that the feed got since.

    Such a column takes NULL even where it is required: the rows that are there have no value for it.
    """
    cursor.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, feed text NOT NULL,"
            " sha256 text NOT NULL, archive text NOT NULL, member text NOT NULL, rows bigint NOT NULL,"
            " loaded_at timestamptz NOT NULL DEFAULT now(), UNIQUE (feed, sha256))"
        ).format(LEDGER)
    )
    table = sql.Identifier(SCHEMA, feed.name)
    columns = [
        sql.SQL("{} {}{}").format(
            sql.Identifier(name),
            _type(feed, name),
            sql.SQL(" NOT NULL" if name in feed.required else ""),
        )
        for name in feed.columns
    ]
    cursor.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {} ({}, _content bigint, _row bigint, PRIMARY KEY (_content, _row))"
        ).format(table, sql.SQL(", ").join(columns))
    )
    cursor.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s",
        (SCHEMA, feed.name),
    )
    there = {name for (name,) in cursor.fetchall()}
    for name in feed.columns:
        if name not in there:
            cursor.execute(
                sql.SQL("ALTER TABLE {} ADD COLUMN {} {}").format(
                    table, sql.Identifier(name), _type(feed, name)
                )
            )
    return table


def _type(feed: Feed, column: str) -> sql.SQL:
    kind = feed.columns[column]
    return sql.SQL(IN_POSTGRES.get(kind, kind))


def load(
    connection: Any,
    archive: zipfile.ZipFile,
    name: str,
    feed: Feed,
    contents: Sequence[Content],
    limits: Limits,
) -> int:
    """Load what is not there yet; answers how many rows came. The caller's transaction decides over all of it."""
    loaded = 0
    with connection.cursor() as cursor:
        table = ensure_tables(cursor, feed)
        for content in contents:
            cursor.execute(
                sql.SQL(
                    "INSERT INTO {} (feed, sha256, archive, member, rows) VALUES (%s, %s, %s, %s, %s)"
                    " ON CONFLICT DO NOTHING RETURNING id"
                ).format(LEDGER),
                (feed.name, content.sha256, name, content.member, content.rows),
            )
            if new := cursor.fetchone():
                _copy(cursor, table, archive, feed, content, new[0], limits)
                loaded += content.rows
    return loaded


def _copy(
    cursor: Any,
    table: sql.Identifier,
    archive: zipfile.ZipFile,
    feed: Feed,
    content: Content,
    id: int,
    limits: Limits,
) -> None:
    names = sql.SQL(", ").join(map(sql.Identifier, (*feed.columns, "_content", "_row")))
    with cursor.copy(sql.SQL("COPY {} ({}) FROM STDIN").format(table, names)) as copy:
        for number, values in rows(archive, archive.getinfo(content.member), feed, limits):
            copy.write_row((*values, id, number))
