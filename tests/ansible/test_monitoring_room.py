"""A disk without room: told past Prometheus, which can take in nothing then, and again until somebody heard it."""

from __future__ import annotations

import errno
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hangar_monitoring import loop, prometheus, room
from hangar_monitoring.described import Refused


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    found = {"/": 1 << 40, "/srv": 1 << 40}
    monkeypatch.setattr(room, "left", found.__getitem__)
    return found


ENTRY = {
    "name": "NoRoomLeft",
    "level": "critical",
    "reason": "{{ $labels.mountpoint }} is full.",
    "action": "Look at {{ $labels.mountpoint }}.",
}


def test_a_disk_without_room_is_told_again_and_again_until_there_is_some(left: dict[str, int]) -> None:
    told: list[dict[str, Any]] = []
    watching = room.Room(ENTRY, told.extend)
    watching.look(0)
    left["/srv"] = room.LEAST - 1
    watching.look(5)
    watching.look(19)
    assert told == []  # not for long enough
    watching.look(20)
    (alert,) = told
    assert alert["labels"] == {"alertname": "NoRoomLeft", "level": "critical", "mountpoint": "/srv"}
    assert alert["annotations"] == {"reason": "/srv is full.", "action": "Look at /srv."}
    watching.look(45)
    assert len(told) == 1
    watching.look(50)
    assert len(told) == 2
    left["/srv"] = room.LEAST
    watching.look(55)
    watching.look(60)
    assert len(told) == 3
    now = datetime.now(UTC)
    assert datetime.fromisoformat(told[1]["endsAt"]) > now > datetime.fromisoformat(told[2]["endsAt"])


def test_what_alertmanager_did_not_hear_is_told_again(
    left: dict[str, int], capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[dict[str, Any]] = []

    def deaf(_: list[dict[str, Any]]) -> None:
        raise Refused("it does not answer")

    watching = room.Room(ENTRY, deaf)
    left["/"] = 0
    for moment in (0, 15, 20):
        watching.look(moment)
    assert capsys.readouterr().err == "it does not answer\n"
    watching.tell = told.extend
    watching.look(25)
    assert [one["labels"]["mountpoint"] for one in told] == ["/"]


def test_the_dashboard_is_shown_what_prometheus_cannot_take_in(left: dict[str, int], tmp_path: Path) -> None:
    """Whether Alertmanager heard it or not."""

    def deaf(_: list[dict[str, Any]]) -> None:
        raise Refused("it does not answer")

    watching, place = room.Room(ENTRY, deaf), tmp_path / "told.json"
    left["/srv"] = 0
    for moment, alerts in ((0, 0), (14, 0), (15, 1), (75, 1)):
        watching.look(moment)
        room.show(watching.firing(moment), place)
        shown = json.loads(place.read_text())["alerts"]
        assert len(shown) == alerts, moment
    (alert,) = shown
    assert alert["state"] == "firing"
    assert alert["labels"] == {"alertname": "NoRoomLeft", "level": "critical", "mountpoint": "/srv"}
    assert alert["annotations"]["reason"] == "/srv is full."
    assert 70 < (datetime.now(UTC) - datetime.fromisoformat(alert["activeAt"])).total_seconds() < 80
    left["/srv"] = room.LEAST
    watching.look(80)
    assert watching.firing(80) == []


def test_a_full_memory_disk_ends_neither_figures_nor_dashboard() -> None:
    with loop.unless_full():
        raise OSError(errno.ENOSPC, "no room")
    with pytest.raises(OSError, match="not yours"), loop.unless_full():
        raise OSError(errno.EACCES, "not yours")


MACHINE = {
    "machine": "hangar-night",
    "alertmanager_port": 9093,
    "prometheus_port": 9090,
    "without_figures": ENTRY,
}


def test_what_is_told_past_prometheus_names_its_machine_too(
    left: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A title says "NoRoomLeft on hangar-night": whoever has several machines has to know which."""
    told: list[dict[str, Any]] = []
    monkeypatch.setattr(prometheus, "_open", lambda url, body: told.extend(json.loads(body)))
    left["/srv"] = 0
    watching = room.Room(ENTRY, lambda alerts: prometheus.tell(MACHINE, alerts))
    watching.look(0)
    watching.look(room.AFTER)
    prometheus.raise_by_hand(MACHINE)
    assert [(one["labels"]["alertname"], one["labels"]["machine"]) for one in told] == [
        ("NoRoomLeft", "hangar-night"),
        *3 * [("Test", "hangar-night")],
    ]
