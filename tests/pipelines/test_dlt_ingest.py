"""dlt really run, from a small REST source of the tests to a real Postgres."""

from __future__ import annotations

import pytest
from rest_source import Source, serve


def event(number: int, minute: int, text: str = "seen") -> dict[str, object]:
    return {"id": number, "updated_at": f"2026-03-01T10:{minute:02}:00Z", "text": text, "amount": number}


@pytest.fixture
def source(connections):
    source = Source([event(number, number) for number in range(1, 6)])
    server = serve(source)
    connections(
        rest_source={
            "conn_type": "http", "host": source.address, "password": source.token, "extra": '{"resource": "events"}',
        }
    )  # fmt: skip
    yield source
    server.shutdown()


def once(task):
    task.retries = 0


def test_every_page_comes_and_later_only_what_is_new(source, warehouse, run):
    done = run("dlt_ingest")
    assert done.errors == {}
    assert done.result["ingest"] == 5
    assert warehouse.rows("SELECT id, text FROM landing.events ORDER BY id") == [
        (n, "seen") for n in range(1, 6)
    ]

    # again: nothing doubles, and the source is asked for what is newer only
    source.asked.clear()
    assert run("dlt_ingest").errors == {}
    assert source.asked == [{"path": "/events", "updated_since": "2026-03-01T10:05:00Z"}]
    assert warehouse.value("SELECT count(*) FROM landing.events") == 5

    # one changes, one is new
    source.events += [event(6, 30)]
    source.events[1] = event(2, 40, "changed")
    assert run("dlt_ingest").errors == {}
    assert warehouse.value("SELECT count(*) FROM landing.events") == 6
    assert warehouse.value("SELECT text FROM landing.events WHERE id = 2") == "changed"

    # a source that changes its mind about a type
    source.events += [event(7, 50) | {"amount": "a lot"}]
    done = run("dlt_ingest", change=once)
    assert done.state == "failed"
    assert "amount" in done.errors["ingest"][0]
    assert warehouse.value("SELECT count(*) FROM landing.events") == 6


def test_a_source_that_stumbles_is_asked_again(source, warehouse, run):
    source.broken = [503, 429]
    assert run("dlt_ingest", change=once).errors == {}
    assert warehouse.value("SELECT count(*) FROM landing.events") == 5


def test_a_refused_token_is_told_and_not_shown(source, warehouse, run):
    source.token = "another"
    done = run("dlt_ingest", change=once)
    assert done.state == "failed"
    assert "401" in done.errors["ingest"][0]
    assert "token-of-the-source" not in str(done.errors)
    assert warehouse.rows("SELECT * FROM pg_tables WHERE tablename = 'events'") == []


def test_the_token_goes_to_no_other_address(source, run):
    thief = Source([])
    server = serve(thief)
    source.elsewhere = f"{thief.address}/events"
    done = run("dlt_ingest", change=once)
    server.shutdown()
    assert done.state == "failed"
    assert "No connection adapters were found" in done.errors["ingest"][0]
    assert thief.asked == []


@pytest.mark.parametrize(("pages", "key"), [(1, "&api_key=…"), (2, "")], ids=["to itself", "in a circle"])
def test_a_link_that_leads_back_ends_the_run_at_once(source, warehouse, run, pages, key):
    """It was followed until the task's hour was over."""
    source.round = pages
    done = run("dlt_ingest", change=once)
    assert done.state == "failed"
    assert done.errors["ingest"] == [
        "dlt: SourceGoesRound: the link to the next page leads back to "
        f"{source.address}/events?updated_since=…&from=…{key}, which brought the same rows before"
    ]
    assert len(source.asked) <= 2 * pages + 1
    assert warehouse.rows("SELECT * FROM pg_tables WHERE tablename = 'events'") == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"extra": "{}"},
            "The connection rest_source needs a host (the base URL) and an extra that names what to",
        ),
        (
            {"extra": '{"resource": "a", "keys": "id"}'},
            "The extra of rest_source has keys; it may have resource, key,",
        ),
    ],
)
def test_a_connection_that_lacks_something_is_said_once(connections, run, given, said):
    connections(rest_source={"conn_type": "http", "host": "http://127.0.0.1:1", **given})
    assert [text[: len(said)] for text in run("dlt_ingest").errors["ingest"]] == [said]
