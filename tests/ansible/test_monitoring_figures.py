"""Figures as they are written, and what is made of what Airflow sends: no name breaks out, nor fills the memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from hangar_monitoring.figures import figure, text, write
from hangar_monitoring.statsd import FORGOTTEN_AFTER, MOST_NAMES, Airflow


def test_figures_stand_together_under_their_name_and_no_label_breaks_out() -> None:
    shown = text(
        [figure("b", 1, name='a"} 1\nevil 1'), figure("a_total", 2), figure("b", 3), figure("a_total", 4)]
    )
    assert shown.splitlines() == [
        "# TYPE a_total counter",
        "a_total 4.0",
        "# TYPE b gauge",
        "b 3.0",
        'b{name="a\\"} 1\\nevil 1"} 1.0',
    ]


def test_no_name_steers_the_terminal_that_shows_it() -> None:
    shown = text([figure("a", 1, dag="b\x1b[2Jc\x9b2J\r\x7fd é")])
    assert shown.splitlines()[1] == 'a{dag="b?[2Jc?2J??d é"} 1.0'


def test_a_reader_never_sees_half_a_file(tmp_path: Path) -> None:
    place = tmp_path / "x.prom"
    write([figure("a", 1)], place)
    write([figure("a", 2)], place)
    assert place.read_text() == "# TYPE a gauge\na 2.0\n"
    assert list(tmp_path.iterdir()) == [place]


def values(airflow: Airflow, now: float = 0.0) -> dict[str, float]:
    return {f"{one.name}{dict(one.labels) or ''}": one.value for one in airflow.figures(now)}


def test_airflows_figures_are_kept_by_name_and_the_rest_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1_800_000_000.0)
    heard = Airflow()
    heard.receive(
        b"airflow.scheduler_heartbeat:1|c\nairflow.scheduler_heartbeat:1|c\nairflow.executor.queued_tasks:5|g\n"
        b"airflow.pool.open_slots.default_pool:128|g\nairflow.dagrun.duration.failed.a.b:1500|ms\n"
        b"airflow.dagrun.duration.failed:1500|ms\nairflow.task.duration:1|ms\nother.ti_failures:1|c",
        now=0,
    )
    assert values(heard) == {
        "airflow_scheduler_heartbeat": 2.0,
        "airflow_executor_queued_tasks": 5.0,
        "airflow_pool_slots{'pool': 'default_pool', 'state': 'open'}": 128.0,
        "airflow_dagrun_seconds_count{'dag': 'a.b', 'state': 'failed'}": 1.0,
        "airflow_dagrun_seconds_sum{'dag': 'a.b', 'state': 'failed'}": 1.5,
        "airflow_dagrun_last_timestamp_seconds{'dag': 'a.b', 'state': 'failed'}": 1_800_000_000.0,
    }


@pytest.mark.parametrize(
    "packet", [b"", b"\xff\xfe", b"airflow.ti_failures", b"airflow.ti_failures:x|c", b"a:b:c|d|e"]
)
def test_what_is_no_figure_is_dropped(packet: bytes) -> None:
    heard = Airflow()
    heard.receive(packet)
    assert values(heard) == {}


@pytest.mark.parametrize(
    "name", ["<!channel>", "<https://evil.example|sales>", "a b", "daily\x1b[2J", "täglich"]
)
def test_a_name_that_airflow_itself_never_sends_reaches_no_alert(name: str) -> None:
    """Whoever writes DAGs may send datagrams as well, and chats read words like these as commands and links."""
    heard = Airflow()
    heard.receive(f"airflow.dagrun.duration.failed.{name}:1|ms\nairflow.pool.open_slots.{name}:1|g".encode())
    assert values(heard) == {}
    assert list(heard.ended) == []


def test_whoever_writes_dags_cannot_fill_the_memory_with_names() -> None:
    heard = Airflow()
    for number in range(MOST_NAMES * 2):
        heard.receive(f"airflow.dagrun.duration.success.dag{number}:1|ms".encode())
        heard.receive(f"airflow.pool.open_slots.pool{number}:1|g".encode(), now=0)
    assert len(heard.counters) == len(heard.gauges) == len(heard.ended) == MOST_NAMES


def test_a_gauge_that_nobody_sends_any_more_is_forgotten_and_a_counter_is_not() -> None:
    heard = Airflow()
    heard.receive(b"airflow.executor.queued_tasks:5|g\nairflow.ti_failures:1|c", now=0)
    assert set(values(heard, FORGOTTEN_AFTER - 1)) == {"airflow_executor_queued_tasks", "airflow_ti_failures"}
    assert set(values(heard, FORGOTTEN_AFTER + 1)) == {"airflow_ti_failures"}
