"""Where data go in the tests: a destination of each kind, and how somebody asks it without the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.postgres import BIN, Postgres, duckdb, parquet
from tests.server import Server

Ask = Callable[[str], list[tuple[Any, ...]]]


@contextmanager
def destination(server: Server, kind: str, called: str = "toy") -> Iterator[tuple[str, Ask]]:
    """Its id and its answers; a Postgres is its own and ends with it."""
    if kind != "postgres":
        name, ask = {"duckdb": (f"{called}.duckdb", duckdb), "parquet": (called, parquet)}[kind]
        made = server.destination(kind, destination_path=f"/local/{name}")
        yield made, partial(ask, server.data / "local" / name)
        return
    if BIN is None:
        pytest.skip("Postgres is not installed here: apt-get install postgresql")
    database = Postgres().start()
    try:
        yield server.destination(kind, **database.config()), database.query
    finally:
        database.close()
