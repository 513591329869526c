"""Rows as Airbyte's source `faker` makes them, written as Airbyte's Postgres destination writes them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

from postgres import Postgres
from psycopg2.extras import Json

META = "_airbyte_raw_id varchar, _airbyte_extracted_at timestamp, _airbyte_meta jsonb"
TABLES = {
    "users": "id bigint, created_at timestamp, updated_at timestamp, name varchar, title varchar, age bigint,"
    " email varchar, gender varchar, nationality varchar, occupation varchar, address jsonb",
    "products": "id bigint, make varchar, model varchar, year bigint, price numeric(38,9), created_at timestamp,"
    " updated_at timestamp",
    "purchases": "id bigint, user_id bigint, product_id bigint, created_at timestamp, updated_at timestamp,"
    " added_to_cart_at timestamp, purchased_at timestamp, returned_at timestamp",
}
DAY = "2026-03-0{}T10:00:00+00:00"


def rows(people: int) -> dict[str, list[dict[str, Any]]]:
    """Two cars; each person fills one cart, every second buys, every fourth sends the car back."""
    made: dict[str, list[dict[str, Any]]] = {"users": [], "products": [], "purchases": []}
    stamps = {"created_at": DAY.format(1), "updated_at": DAY.format(1)}
    for number in (1, 2):
        made["products"].append(
            {
                "id": number,
                "make": "Mazda",
                "model": f"MX-{number}",
                "year": 2020,
                "price": 1000 * number,
                **stamps,
            }
        )
    for number in range(1, people + 1):
        address = Json({"city": "Bergen", "country_code": "NO"})
        made["users"].append(
            {
                "id": number,
                "name": f"P{number}",
                "email": f"P{number}@Example.com",
                "age": 30,
                "address": address,
                **stamps,
            }
        )
        made["purchases"].append(
            {
                "id": number, "user_id": number, "product_id": 1 + number % 2, **stamps,
                "added_to_cart_at": DAY.format(2),
                "purchased_at": DAY.format(3) if number % 2 == 0 else None,
                "returned_at": DAY.format(4) if number % 4 == 0 else None,
            }
        )  # fmt: skip
    return made


def write(
    warehouse: Postgres, made: dict[str, list[dict[str, Any]]], replace: bool = True, age: str = "0 hours"
) -> int:
    """Write the rows as a sync does: the tables replaced, or appended to. Answers how many."""
    with closing(warehouse.connect("airbyte")) as connection, connection, connection.cursor() as cursor:
        for table, columns in TABLES.items():
            if replace:
                cursor.execute(f"DROP TABLE IF EXISTS raw.{table}")
            cursor.execute(f"CREATE TABLE IF NOT EXISTS raw.{table} ({columns}, {META})")
            for row in made[table]:
                names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
                cursor.execute(
                    f"INSERT INTO raw.{table} ({names}, _airbyte_raw_id, _airbyte_extracted_at) VALUES"
                    f" ({marks}, gen_random_uuid()::text, (now() at time zone 'utc') - interval '{age}')",
                    list(row.values()),
                )
    return sum(len(each) for each in made.values())


def sync(warehouse: Postgres, people: int = 8, **how: Any) -> Callable[[], int]:
    return lambda: write(warehouse, rows(people), **how)
