"""Load a day of temperatures, refuse what cannot be, and keep one row a city and day.

The input lies beside this file, so the DAG needs no network. Running it twice leaves the same rows.
"""

from __future__ import annotations

import csv
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from airflow.sdk import dag, task
from pendulum import datetime

HERE = Path(__file__).parent
DATABASE = Path(os.environ.get("PIPELINE_DATA", "/srv/airflow/data")) / "city_temperatures.sqlite"
TABLE = """
CREATE TABLE IF NOT EXISTS temperatures (
    city TEXT, day TEXT, lowest REAL, highest REAL, mean REAL, PRIMARY KEY (city, day)
)"""
PLAUSIBLE = (-60.0, 60.0)
"""Degrees Celsius between which a reading is believed."""


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@dag(schedule=None, start_date=datetime(2026, 1, 1), catchup=False, tags=["example"], doc_md=__doc__)
def city_temperatures() -> None:
    @task
    def extract() -> list[dict[str, str]]:
        """The readings as they came."""
        return read(HERE / "readings.csv")

    @task
    def summarise(readings: list[dict[str, str]]) -> list[dict[str, str | float]]:
        """Lowest, highest and mean of each city and day, of the readings that can be believed."""
        found: dict[tuple[str, str], list[float]] = {}
        for reading in readings:
            celsius = float(reading["celsius"])
            if PLAUSIBLE[0] <= celsius <= PLAUSIBLE[1]:
                found.setdefault((reading["city"], reading["day"]), []).append(celsius)
        return [
            {
                "city": city,
                "day": day,
                "lowest": min(values),
                "highest": max(values),
                "mean": round(sum(values) / len(values), 2),
            }
            for (city, day), values in sorted(found.items())
        ]

    @task
    def load(rows: list[dict[str, str | float]]) -> int:
        """Write the rows in one transaction; a row that is there already is replaced."""
        with closing(sqlite3.connect(DATABASE)) as database, database:
            database.execute(TABLE)
            database.executemany(
                "INSERT OR REPLACE INTO temperatures VALUES (:city, :day, :lowest, :highest, :mean)", rows
            )
        return len(rows)

    @task
    def check(loaded: int) -> None:
        """Fail when the table does not hold what was loaded."""
        with closing(sqlite3.connect(DATABASE)) as database:
            (rows,) = database.execute("SELECT count(*) FROM temperatures").fetchone()
            (wrong,) = database.execute(
                "SELECT count(*) FROM temperatures WHERE NOT lowest <= mean OR NOT mean <= highest"
            ).fetchone()
        if rows < loaded or wrong:
            raise ValueError(f"{rows} rows where {loaded} were loaded, {wrong} of them impossible")

    check(load(summarise(extract())))


city_temperatures()
