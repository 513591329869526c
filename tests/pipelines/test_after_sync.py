"""A DAG that follows Airbyte's data: Airflow's scheduler starts it for a sync that succeeded, and for nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import shop
from scheduler import results, runs, schedule, switch

FOLLOWED = [("asset_triggered", "success")]


class Followed:
    """The runs of `after_sync` since the test began."""

    def __init__(self) -> None:
        self.before = len(runs("after_sync"))

    def runs(self) -> list[tuple[str, str]]:
        return runs("after_sync")[self.before :]

    def looked(self) -> list[dict[str, Any]]:
        """What they found, in one list."""
        return [entry for found in results("after_sync", "look")[self.before :] for entry in found]


@pytest.fixture
def followed(airbyte, run) -> Iterator[Followed]:
    """Airflow has read the DAGs, and `after_sync` is switched on."""
    airbyte.statuses = ["failed"]
    run("airbyte_sync", change=once)
    airbyte.statuses = ["succeeded"]
    switch("after_sync", on=True)
    yield Followed()
    switch("after_sync", on=False)


def once(task: Any) -> None:
    """Without another try."""
    task.retries = 0


def test_a_sync_that_succeeds_starts_the_dag_that_waits_for_its_data(airbyte, warehouse, run, followed):
    airbyte.sync = shop.sync(warehouse, people=8)
    assert run("airbyte_sync").state == "success"
    assert followed.runs() == []
    schedule("after_sync")
    assert followed.runs() == FOLLOWED
    (entry,) = followed.looked()
    assert (entry["connection"], entry["rows"], entry["people"]) == ("faker_to_warehouse", 18, 8)
    schedule("after_sync")
    assert followed.runs() == FOLLOWED, "the same news starts it once"


def test_no_sync_is_forgotten_and_none_told_twice(airbyte, run, followed):
    """Two end before the scheduler looks: Airflow starts one run for both, and hands the later news to the next one"""
    run("airbyte_sync")
    run("airbyte_sync")
    schedule("after_sync")
    run("airbyte_sync")
    schedule("after_sync")
    assert followed.runs() == FOLLOWED * 2
    jobs = [int(job) for job in airbyte.jobs][-3:]
    assert sorted(entry["job_id"] for entry in followed.looked()) == jobs


def test_neither_a_sync_that_failed_nor_one_of_another_connection_starts_it(airbyte, run, followed):
    airbyte.statuses = ["failed"]
    assert run("airbyte_sync", change=once).state == "failed"
    airbyte.statuses = ["succeeded"]
    airbyte.connections["22222222-2222-4222-8222-222222222222"] = "orders_to_warehouse"
    assert run("airbyte_sync", connection="orders_to_warehouse").state == "success"
    schedule("after_sync")
    assert followed.runs() == []


def test_a_run_that_no_sync_started_says_so(warehouse, run):
    done = run("after_sync")
    assert done.state == "failed"
    assert done.errors["look"] == ["No sync started this run: trigger airbyte_sync instead."]
