"""Values that a database, or what is on the way to it, would change: they arrive as they are, or the job says why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import Ask, destination
from tests.server import Server
from tests.told import Told
from tests.toy import COLUMNS, keyless, stream

pytestmark = pytest.mark.long
KINDS = {
    "id": COLUMNS["id"],
    "at": COLUMNS["updated_at"],
    "of_day": {"type": ["null", "string"], "format": "time", "airbyte_type": "time_with_timezone"},
    "amount": {"type": ["null", "number"]},
    "wide": {"type": ["null", "integer"], "airbyte_type": "big_integer"},
    "code": COLUMNS["code"],
    "detail": COLUMNS["detail"],
}
OFFERED = [keyless(stream("items", KINDS))]


@pytest.fixture(params=["duckdb", "parquet", "postgres"])
def place(request: pytest.FixtureRequest, server: Server, tmp_path: Path) -> Iterator[tuple[str, Ask]]:
    with destination(server, request.param, tmp_path.name) as made:
        yield made


def test_no_digit_and_no_offset_is_lost(server: Server, tmp_path: Path, place: tuple[str, Ask]) -> None:
    to, ask = place
    source, forty = Told(server, tmp_path), "1234567890" * 4
    row = (
        '{"id": 1, "at": "Mon, 01 Jan 2024 10:00:00 +0530", "of_day": "02:00:00+05:30", "amount": 12345678901234567.89,'
        f' "wide": {forty}, "code": {forty}, "detail": {{"n": {forty}, "f": [1.5]}}}}'
    )
    source.offers(OFFERED, items=[row, '{"id": 2, "at": "1969-07-20T20:17:40-05:00", "amount": 0.1}'])
    job = server.run(server.connection(source.id, to))
    assert job["status"] == "succeeded", job
    columns = ", ".join(
        f'CAST("{name}" AS text)' for name in ("at", "of_day", "amount", "wide", "code", "detail")
    )
    first, second = ask(f"SELECT {columns} FROM items ORDER BY id")
    assert first[:5] == ("2024-01-01 04:30:00", "20:30:00", "12345678901234567.890000000", forty, forty)
    assert first[5].replace(" ", "") == f'{{"n":{forty},"f":[1.5]}}'
    assert second[0] == "1969-07-21 01:17:40"
    assert second[2] == "0.100000000"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("at", '"2024-01-01 10:00:00 PST"', "The column at has a moment with an offset that cannot be read"),
        (
            "at",
            '"12024-01-01T10:00:00+02:00"',
            "The column at has a moment with an offset that cannot be read",
        ),
        ("amount", "1e400", "1e400"),
    ],
)
def test_what_would_be_another_value_fails_the_job(
    server: Server, tmp_path: Path, column: str, value: str, said: str
) -> None:
    source = Told(server, tmp_path)
    source.offers(OFFERED, items=[f'{{"id": 1, "{column}": {value}}}'])
    with destination(server, "duckdb", tmp_path.name) as (to, _):
        job = server.run(server.connection(source.id, to))
    assert job["status"] == "failed"
    assert said in job["failureReason"]


def test_rows_of_many_megabytes_arrive(server: Server, tmp_path: Path, place: tuple[str, Ask]) -> None:
    to, ask = place
    source = Told(server, tmp_path)
    source.offers(OFFERED, items=[{"id": number, "code": "ü" * 10_000_000} for number in (1, 2)])
    job = server.run(server.connection(source.id, to))
    assert job["status"] == "succeeded", job
    assert ask("SELECT id, length(code) FROM items ORDER BY id") == [(1, 10_000_000), (2, 10_000_000)]
