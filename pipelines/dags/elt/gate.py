"""The last word on a run: do the figures of the layers fit together, and with what Airbyte says it moved?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

STREAMS = ("users", "products", "purchases")


@dataclass(frozen=True)
class Layer:
    """A table where it came in: all rows, those that came since the sync began, and when the newest came."""

    name: str
    rows: int
    new: int
    newest: datetime | None


@dataclass(frozen=True)
class Pair:
    """Two figures that are equal when nothing was lost or doubled on the way."""

    what: str
    expected: Any
    found: Any


FIGURES = """
select 'rows of {stream} in bronze' as what, (select count(*) from raw.{stream}), (select count(*) from bronze.{stream})
union all
select '{stream} in silver', (select count(distinct id) from bronze.{stream}), (select count(*) from silver.{stream})
"""
GOLD = """
select 'people in gold.customers', (select count(*) from silver.users), (select count(*) from gold.customers)
union all
select 'products in gold.best_products',
    (select count(*) from silver.products), (select count(*) from gold.best_products)
union all
select 'purchases in gold.revenue_by_day',
    (select count(*) from silver.purchases where purchased_at is not null),
    (select coalesce(sum(purchases), 0)::bigint from gold.revenue_by_day)
union all
select 'money that customers spent',
    (select sum(kept) from gold.revenue_by_day), (select sum(spent) from gold.customers)
"""
ARRIVED = """
select
    count(*),
    count(*) filter (where _airbyte_extracted_at::timestamptz >= %(started)s),
    max(_airbyte_extracted_at::timestamptz)
from raw.{stream}
"""


def measure(cursor: Any, started: datetime) -> tuple[list[Layer], list[Pair]]:
    """Ask the warehouse; the cursor's session is in UTC."""
    layers = []
    for stream in STREAMS:
        cursor.execute(ARRIVED.format(stream=stream), {"started": started})
        layers.append(Layer(stream, *cursor.fetchone()))
    cursor.execute("union all".join(FIGURES.format(stream=stream) for stream in STREAMS) + "union all" + GOLD)
    return layers, [Pair(*row) for row in cursor.fetchall()]


def problems(
    layers: Sequence[Layer],
    pairs: Sequence[Pair],
    *,
    synced: int,
    lost: float,
    oldest: timedelta,
    now: datetime,
) -> list[str]:
    """What is wrong, in words; nothing when the run may be believed.

    :param synced: rows that Airbyte says it moved.
    :param lost: percent of these that may be missing.
    :param oldest: how old the newest row of a stream may be.
    """
    found = [f"{layer.name}: no row at all" for layer in layers if not layer.rows]
    arrived = sum(layer.new for layer in layers)
    if arrived < synced * (1 - lost / 100):
        found.append(f"{arrived} rows arrived since the sync began, and Airbyte says that it moved {synced}")
    for layer in layers:
        if layer.newest and now - layer.newest > oldest:
            found.append(
                f"{layer.name}: the newest row came {hours(now - layer.newest)} ago,"
                f" at most {hours(oldest)} are allowed"
            )
    return found + [
        f"{pair.what}: {pair.found}, not {pair.expected}" for pair in pairs if pair.expected != pair.found
    ]


def hours(age: timedelta) -> str:
    return f"{age.total_seconds() / 3600:.1f} hours"
