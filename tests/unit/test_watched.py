import json
from datetime import UTC, datetime

import pytest

from hangar.watched import Alert, moment, read, span

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
