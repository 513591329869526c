"""What the pipeline made: the record that the report shows."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """A table of gold. `first` are its first rows as texts, for tables that may be shown."""

    name: str
    columns: tuple[str, ...]
    rows: int
    first: tuple[tuple[str | None, ...], ...] = ()


@dataclass(frozen=True)
class Gold:
    """The gold tables, and the last run of `elt` that came to a good end: its id and when it ended (as Airflow
    writes moments). `problem` says why they could not be read.
    """

    tables: tuple[Table, ...] = ()
    run: str = ""
    made: str = ""
    problem: str = ""
