"""What `status` shows a person: alerts first, then figures, and what the machine wants to grow by."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hangar import console
from hangar.cloud.base import Server
from hangar.commands import status
from hangar.config import Config
from hangar.errors import HangarError, MachineUnreachable
from hangar.status import Health, read
from tests.unit.test_status import ANSWER

Make = Callable[..., Config]
GCP = ("cloud=gcp", "gcp.project=my-project-1", "gcp.zone=europe-west6-a", "backup.enabled=false")


def ago(hours: float) -> str:
    return f"{datetime.now(UTC) - timedelta(hours=hours, seconds=5):%Y-%m-%dT%H:%M:%SZ}"


def alert(name: str, level: str, hours: float, reason: str, action: str, **labels: str) -> dict[str, Any]:
    return {
        "name": name,
        "level": level,
        "since": ago(hours),
        "reason": reason,
        "action": action,
        "labels": labels,
    }


def machine(*alerts: dict[str, Any], **figures: Any) -> Health:
    known = {name: [{"labels": {}, "value": value}] for name, value in figures.items()}
    memory = [{"labels": {"user": "airflow", "container": "scheduler"}, "value": 300 * 2**20}]
    said = json.dumps({"alerts": alerts, "figures": known | {"container_memory": memory}})
    return read(f"{ANSWER}# monitoring\n{said}\n")


@pytest.fixture
def server() -> Server:
    return Server("hangar-local", "local", "gcp", "1", "127.0.0.1", 2222, "hangar", (), ())


FULL = alert("DiskFull", "critical", 2, "/srv is 97% full.", "Make room now.", mountpoint="/srv")
GROWS = alert("MachineWantsCpu", "grow", 30, "For hours the CPUs have been 91% busy.", "…", resource="cpu")


def shown(
    health: Health,
    server: Server,
    settings: Config,
    monkeypatch: pytest.MonkeyPatch,
    *,
    as_json: bool = False,
) -> None:
    monkeypatch.setattr(status, "ask", lambda server, settings: health)
    status.look(server, settings, as_json=as_json)


def test_alerts_come_first_with_what_to_do(
    server: Server, make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(machine(FULL, backup_age=7200), server, make_config(*GCP), monkeypatch)
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[:3] == [
        "hangar-local: running for 0 h 16 min, SSH at 127.0.0.1 port 2222",
        "critical: /srv is 97% full.  (since 2 h)",
        "  Make room now.",
    ]
    rows = [line.split() for line in lines]
    assert [row for row in rows if row and row[0] in ("backup", "airflow/scheduler")] == [
        ["backup", "2", "h", "old", "the", "last", "good", "one"],
        ["airflow/scheduler", "unhealthy", "300.0", "MiB"],
    ]
    assert "disk /srv: 94.7 % used, more than 80 %" in said.err
    assert "No alert fires." not in said.out


def test_it_says_what_the_machine_wants_since_when_what_would_fit_and_its_price(
    server: Server, make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shown(machine(GROWS), server, make_config(*GCP), monkeypatch)
    said = capsys.readouterr().out
    assert "No alert fires." in said, "a wish is none"
    assert (
        "The machine wants more cpu, since 1 d: For hours the CPUs have been 91% busy.\n"
        "  gcp.machine_type: e2-standard-8 (256 USD a month instead of 128; list prices of europe-west6 of 2026-07-30)"
        " would do.\n"
    ) in said


def test_a_program_gets_the_same(
    server: Server, make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    console.configure(json=True)
    shown(machine(FULL, GROWS), server, make_config(*GCP), monkeypatch, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in said["alerts"]] == ["DiskFull", "MachineWantsCpu"]
    assert [(one["resource"], one["fits"]) for one in said["growth"]] == [
        ("cpu", "gcp.machine_type: e2-standard-8")
    ]
    assert said["services"][0] == {"name": "firewall", "state": "active", "well": True}


def test_who_watches_sees_the_machine_come_back(
    server: Server, make_config: Make, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It looks again in the time that was asked for, until somebody ends it."""
    looks = iter(
        [machine(), MachineUnreachable("hangar-local runs, but does not answer over SSH."), machine(FULL)]
    )
    waited: list[float] = []

    def ask(server: Server, settings: Config) -> Health:
        if isinstance(said := next(looks), Exception):
            raise said
        return said

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(status, "ask", ask)
    monkeypatch.setattr("time.sleep", sleep)
    with pytest.raises(KeyboardInterrupt):
        status.watch(server, make_config(*GCP), 2.0, as_json=False)
    said = capsys.readouterr()
    assert waited == [2.0, 2.0, 2.0]
    assert "does not answer over SSH" in said.err
    assert said.out.index("No alert fires.") < said.out.index("critical: /srv is 97% full.")


@pytest.mark.parametrize(
    "said", ["", "# cpu\n", ANSWER.replace("MemTotal", "Mem"), ANSWER.replace("10000.50", "x")]
)
def test_an_answer_that_makes_no_sense_is_said_so(
    said: str, server: Server, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a machine on its way down, say; whoever watches it sees it come back."""
    monkeypatch.setattr(status.call, "argv", lambda *_: ["printf", "%s", said])
    with pytest.raises(HangarError, match="hangar-local answers, but not with how it is"):
        status.ask(server, make_config(*GCP))
    monkeypatch.setattr(status.call, "argv", lambda *_: ["printf", "%s", ANSWER])
    assert status.ask(server, make_config(*GCP)).cpu.percent == 40.0
