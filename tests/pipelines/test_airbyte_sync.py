"""One sync, on a stand-in for Airbyte (see stand_in_airbyte) that a test tells how to behave."""

from __future__ import annotations

import pytest
from airflow.models.asset import AssetEvent
from airflow.utils.session import create_session
from conftest import FAKER
from sqlalchemy import select
from stand_in_airbyte import Job, now


def test_a_sync_that_succeeds_is_news_for_other_dags(airbyte, run):
    airbyte.sync = lambda: 42
    done = run("airbyte_sync")
    assert done.errors == {}
    assert done.state == "success"
    assert {key: done.result["sync"][key] for key in ("job_id", "connection", "rows")} == {
        "job_id": 1, "connection": "faker_to_warehouse", "rows": 42,
    }  # fmt: skip
    with create_session() as session:
        events = session.scalars(select(AssetEvent).where(AssetEvent.source_run_id == done.run_id)).all()
        assert [(event.asset.name, event.extra["rows"]) for event in events] == [
            ("airbyte.faker_to_warehouse", 42)
        ]


def test_a_connection_is_found_by_its_id_too(airbyte, run):
    assert run("airbyte_sync", connection=FAKER).state == "success"
    assert [job.connection for job in airbyte.jobs.values()] == [FAKER]


def test_a_connection_on_a_later_page_is_found(airbyte, run):
    airbyte.connections = {
        f"22222222-2222-4222-8222-{number:012}": f"other-{number}" for number in range(230)
    } | airbyte.connections
    assert run("airbyte_sync").state == "success"


@pytest.mark.parametrize(
    ("more", "wanted", "said"),
    [
        ({}, "nowhere", "Airbyte has no connection named nowhere. It has: faker_to_warehouse."),
        (
            {"22222222-2222-4222-8222-222222222222": "faker_to_warehouse"}, "faker_to_warehouse",
            "Airbyte has 2 connections named faker_to_warehouse; give the id of one: "
            f"{FAKER}, 22222222-2222-4222-8222-222222222222.",
        ),
        (
            {}, "33333333-3333-4333-8333-333333333333",
            "Airbyte has no connection with the id 33333333-3333-4333-8333-333333333333.",
        ),
    ],
)  # fmt: skip
def test_an_unclear_connection_is_said_once_and_starts_nothing(airbyte, run, more, wanted, said):
    airbyte.connections.update(more)
    done = run("airbyte_sync", connection=wanted)
    assert done.errors["sync"] == [said]
    assert airbyte.jobs == {}


@pytest.mark.parametrize("why_in_job", [True, False], ids=["embedded", "airbyte"])
def test_a_failed_sync_says_what_airbyte_says_and_is_tried_again(airbyte, run, why_in_job):
    airbyte.statuses, airbyte.why, airbyte.why_in_job = (
        ["running", "failed"],
        "The password expired.",
        why_in_job,
    )
    done = run("airbyte_sync")
    assert done.state == "failed"
    assert done.errors["sync"] == [
        f"Airbyte's job {job} of the connection faker_to_warehouse failed: The password expired."
        for job in (1, 2, 3)
    ]


def test_a_filter_before_airbytes_pages_costs_only_the_reason(airbyte, run):
    airbyte.statuses, airbyte.why = ["failed"], "The password expired."
    airbyte.refused = {"/api/v1/jobs/get_without_logs"}
    assert run("airbyte_sync").errors["sync"][0] == (
        "Airbyte's job 1 of the connection faker_to_warehouse failed: it gives no reason here; its log of job 1 does"
    )


def test_a_cancelled_sync_fails(airbyte, run):
    airbyte.statuses = ["running", "cancelled"]
    assert "job 1 of the connection faker_to_warehouse cancelled" in run("airbyte_sync").errors["sync"][0]


def test_waiting_for_room_and_airbytes_own_retries_are_no_failure(airbyte, run):
    airbyte.statuses = ["pending", "queued", "running", "incomplete", "running", "succeeded"]
    done = run("airbyte_sync")
    assert done.errors == {}
    assert len(airbyte.jobs) == 1


def test_airbyte_that_restarts_meanwhile_is_asked_again(airbyte, run):
    airbyte.broken = [503, 502, 500, 409]
    done = run("airbyte_sync")
    assert done.errors == {}
    assert len(airbyte.jobs) == 1


@pytest.fixture
def restored(airbyte, monkeypatch):
    """Airbyte was restored from a backup when the first job had just begun: it knows nothing of that job."""

    def restore(*others):
        start = airbyte.start

        def started(connection):
            monkeypatch.setattr(airbyte, "start", start)
            job = start(connection)
            airbyte.jobs = {other.id: other for other in others}
            return job

        monkeypatch.setattr(airbyte, "start", started)

    return restore


def other_job(*statuses):
    """The first job of another connection: it has the number that the lost one had."""
    return Job(1, "22222222-2222-4222-8222-222222222222", list(statuses), now(), None)


def test_a_job_that_airbyte_lost_is_started_anew_in_the_same_try(airbyte, restored, run):
    restored()
    airbyte.sync = lambda: 42
    done = run("airbyte_sync", change=lambda task: setattr(task, "retries", 0))
    assert done.errors == {}
    assert done.result["sync"]["rows"] == 42
    assert [job.connection for job in airbyte.jobs.values()] == [FAKER]


def test_another_connections_job_of_the_same_number_is_not_taken_for_ones_own(airbyte, restored, run):
    restored(other_job("succeeded"))
    airbyte.sync = lambda: 42
    done = run("airbyte_sync", change=lambda task: setattr(task, "retries", 0))
    assert done.errors == {}
    assert (done.result["sync"]["job_id"], done.result["sync"]["rows"]) == (2, 42)


def test_a_sync_that_hangs_cancels_no_other_connections_job(airbyte, restored, run):
    other = other_job("running")
    restored(other)
    done = run("airbyte_sync", change=lambda task: setattr(task, "timeout", 0))
    assert done.state == "failed"
    assert "timed out" in done.errors["sync"][0]
    assert airbyte.cancelled == []
    assert other.statuses == ["running"]


@pytest.mark.parametrize("status", [503, 401])
def test_an_airbyte_that_does_not_answer_until_the_time_is_up_hides_that_from_nobody(
    airbyte, run, monkeypatch, status
):
    start = airbyte.start

    def started(connection):
        airbyte.broken = [status] * 1000
        return start(connection)

    airbyte.statuses = ["running"]
    monkeypatch.setattr(airbyte, "start", started)
    done = run("airbyte_sync", change=lambda task: setattr(task, "timeout", 0))
    assert done.state == "failed"
    assert len(done.errors["sync"]) == 1, "another try would wait for as long again"
    assert "timed out" in done.errors["sync"][0]


def test_a_sync_that_somebody_started_is_joined(airbyte, run):
    airbyte.start(FAKER)
    done = run("airbyte_sync")
    assert done.result["sync"]["job_id"] == 1
    assert len(airbyte.jobs) == 1


def test_a_secret_that_is_made_anew_meanwhile_costs_no_try(airbyte, run):
    airbyte.broken = [401, 401]
    done = run("airbyte_sync", change=lambda task: setattr(task, "retries", 0))
    assert done.errors == {}
    assert len(airbyte.jobs) == 1


def test_a_wrong_secret_is_said_and_not_shown(airbyte, connections, run):
    login = {"login": "client", "password": "wrong-and-secret"}
    connections(airbyte_default={"conn_type": "airbyte", "host": airbyte.address, **login})
    done = run("airbyte_sync")
    assert done.state == "failed"
    assert "401" in done.errors["sync"][0]
    assert "wrong-and-secret" not in str(done.errors)


def test_a_sync_that_hangs_is_given_up_and_cancelled(airbyte, run):
    airbyte.statuses = ["running"]
    done = run("airbyte_sync", change=lambda task: setattr(task, "timeout", 1))
    assert done.state == "failed"
    assert airbyte.cancelled == [1]
    assert "timed out" in done.errors["sync"][0]
