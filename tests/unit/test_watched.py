import json
from datetime import UTC, datetime

import pytest

from hangar.watched import Alert, Watched, moment, read, size, span

SAID = {
    "alerts": [
        {"name": "SwapFull", "level": "warning", "since": "2026-11-25T05:00:00.123456789Z", "labels": {},
         "reason": "90% of the swap is in use.", "action": "More memory."},
        {"name": "DiskFull", "level": "critical", "since": "2026-11-25T06:00:00Z", "labels": {"mountpoint": "/srv"},
         "reason": "/srv is 99% full.", "action": "Make room."},
    ],
    "figures": {
        "load": [{"labels": {}, "value": 1.25}],
        "disk_full_in": [{"labels": {"mountpoint": "/srv"}, "value": 7300.0},
                         {"labels": {"mountpoint": "/"}, "value": 9e9}],
        "security_updates": [{"labels": {}, "value": 2.0}],
        "reboot_needed": [{"labels": {}, "value": 0.0}],
        "backup_age": [],
        "running_tasks": [{"labels": {}, "value": 3.0}],
    },
}  # fmt: skip


def test_the_gravest_alert_comes_first() -> None:
    alerts = read(json.dumps(SAID)).alerts
    assert [(alert.name, alert.since) for alert in alerts] == [
        ("DiskFull", datetime(2026, 11, 25, 6, tzinfo=UTC)),
        ("SwapFull", datetime(2026, 11, 25, 5, 0, 0, 123456, tzinfo=UTC)),
    ]


def test_what_is_worth_a_line_is_shown_and_nothing_else() -> None:
    assert read(json.dumps(SAID)).rows() == [
        ("load", "1.2", "over five minutes"),
        ("disk /srv", "fills up", "full in 2 h, at the pace of six hours"),
        ("tasks", "3 running", "0 queued"),
        ("updates", "2 pending", "security updates"),
    ]


def said(**figures: float | dict[str, float]) -> Watched:
    return Watched((), {name: one if isinstance(one, dict) else {"": one} for name, one in figures.items()})


def test_all_that_is_watched_has_its_line() -> None:
    """The facts that the alerts are about, before they become alerts."""
    found = said(
        load=1.25, cpu_pressure=0.034, memory_pressure=0, disk_pressure=0.5, swap=0.125, inodes={"/srv": 0.031},
        network_in=1_258_291, network_out=2048, clock_off=0.0021, failed_units=1, failed_logins=12.2,
        scheduler_beats=12, parse_time=3.2, import_errors=2, running_tasks=3, queued_tasks=4, failed_tasks=2,
        pool_taken={"default_pool": 3, "idle": 0}, pool_slots={"default_pool": 128, "idle": 5},
        airbyte_running=1, airbyte_failed=2, airbyte_longest=7300,
        warehouse_bytes=2**31, warehouse_connections=5, warehouse_connections_most=60, warehouse_transaction=180,
        airflow_database_bytes=50 * 2**20, airflow_database_connections=20, airflow_database_connections_most=100,
        airflow_database_transaction=0, backup_age=3700, security_updates=2, reboot_needed=1,
        images_outdated={"airbyte": 86400.0, "airflow": 3 * 86400.0}, images_waiting={"airflow": 1},
        certificate_ends_in={"/a.crt": 20 * 86400.0, "/b.crt": -5.0, "/c.crt": 400 * 86400.0},
        key_ends_in={"anna": 3 * 86400.0},
    )  # fmt: skip
    assert found.rows() == [
        ("load", "1.2", "over five minutes"),
        ("pressure", "CPU 3 %, memory 0 %, disk 50 %", "of the time something waits for it"),
        ("swap", "12.5 %", ""),
        ("inodes /srv", "3.1 %", ""),
        ("network", "1.2 MiB/s in", "2 KiB/s out"),
        ("clock", "off by 2 ms", ""),
        ("scheduler", "12 beats a minute", ""),
        ("DAGs", "read in 3 s", "2 cannot be imported"),
        ("tasks", "3 running", "4 queued, 2 failed within the hour"),
        ("pool default_pool", "3 of 128 slots", ""),
        ("syncs", "1 running", "2 failed within the hour, one for 2 h"),
        ("warehouse", "2.0 GiB", "5 of 60 connections, oldest transaction 3 min"),
        ("Airflow's database", "50.0 MiB", "20 of 100 connections"),
        ("backup", "1 h old", "the last good one"),
        ("updates", "2 pending", "security updates"),
        ("images of airbyte", "fixes for 1 d", "made anew within the week"),
        (
            "images of airflow",
            "fixes for 3 d",
            "made; taken in the window, or by the next up, upgrade or start",
        ),
        ("reboot", "needed", "an update waits for it"),
        ("units", "1 failed", ""),
        ("log-ins", "12 failed", "within the hour"),
        ("certificate /a.crt", "ends in 20 d", ""),
        ("certificate /b.crt", "has ended", ""),
        ("key of anna", "ends in 3 d", ""),
    ]


def test_what_is_as_it_should_be_and_what_nobody_knows_has_no_line() -> None:
    found = said(failed_units=0, failed_logins=0.2, reboot_needed=0, security_updates=0, pool_taken={"p": 1},
                 certificate_ends_in={"/c.crt": 400 * 86400.0}, cpu_pressure={}, network_in=5)  # fmt: skip
    assert found.rows() == []


def test_a_containers_memory_is_found_by_its_user_and_name() -> None:
    labels = {"user": "airflow", "container": "scheduler"}
    told = {"alerts": [], "figures": {"container_memory": [{"labels": labels, "value": 5.0}]}}
    assert read(json.dumps(told)).figure("container_memory", "airflow/scheduler") == 5.0


@pytest.mark.parametrize(
    ("count", "words"), [(0, "0 B"), (2048, "2 KiB"), (1.5 * 2**20, "1.5 MiB"), (2**40, "1024.0 GiB")]
)
def test_sizes_are_said_in_their_largest_unit(count: float, words: str) -> None:
    assert size(count) == words


@pytest.mark.parametrize(
    "text", ["", "monitoring: it does not answer", "[]", '{"alerts": [{}], "figures": {}}']
)
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        read(text)


def test_times_and_spans_are_said_as_people_do() -> None:
    assert moment("2026-11-25T06:00:00Z") == datetime(2026, 11, 25, 6, tzinfo=UTC)
    assert [span(seconds) for seconds in (5, 300, 7300, 200_000)] == ["5 s", "5 min", "2 h", "2 d"]


def test_an_alert_of_growth_names_its_resource() -> None:
    alert = Alert("MachineWantsCpu", "grow", moment("2026-11-25T06:00:00Z"), "busy", "", {"resource": "cpu"})
    assert alert.resource == "cpu"
    assert alert.as_data()["since"] == "2026-11-25T06:00:00+00:00"
