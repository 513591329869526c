import argparse
import json
from datetime import date
from pathlib import Path

import pytest

from hangar import checks, cli, console, paths, pipeline
from hangar.commands import plan
from hangar.plan import Change, Cost, Plan
from hangar.playbook import Recap, TaskRun

CREATE = Plan((Change("machine hangar-local", "create", "all CPUs, all memory"),))
NOTHING = Plan((Change("machine hangar-local", "nothing", "all CPUs, all memory"),))
UPDATE = Plan((Change("machine hangar-local", "update", "", (("memory", "6 GiB", "8 GiB"),)),))
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdWUdEcqxzbB1S6s/aEw7p+mJOV0jNf3psGIn12u6RE"
TASK = TaskRun("base", "Packages | Install", "changed", 1.0)


def run(
    monkeypatch: pytest.MonkeyPatch,
    found: tuple[Plan, Recap | None],
    *,
    exit_code: bool = True,
    as_json: bool = False,
) -> int:
    monkeypatch.setattr(pipeline, "plan", lambda config: found)
    console.configure(json=as_json)
    args = argparse.Namespace(environment="local", overrides=[], json=as_json, exit_code=exit_code)
    try:
        return plan.run(args)
    finally:
        console.configure()


def test_a_machine_to_be_made(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, (CREATE, None)) == 4
    assert capsys.readouterr().out == (
        "+ machine hangar-local: create  (all CPUs, all memory)\n"
        "? on the machine: Ansible can say once it runs\n"
        "Make it so: ./provision.py up local\n"
    )


def test_a_row_of_somebody_whose_day_is_long_past_is_told_and_stops_nothing(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    paths.platform_file("local").write_text(
        f"people:\n- {{name: ana, role: viewer, keys: [{KEY}], expires: 2027-03-31}}\n"
    )
    said = (
        "warning: the day of ana is long past (2027-03-31): the machine lets them in no more, and the row is still in "
        "platform.yml. Say: ./provision.py people remove ana local (or expire ana local --expires DATE)\n"
    )
    for day, told in ((date(2027, 6, 29), ""), (date(2027, 6, 30), said)):
        monkeypatch.setattr("hangar.config.people.today", lambda day=day: day)
        monkeypatch.setattr("hangar.people.forgotten.today", lambda day=day: day)
        assert run(monkeypatch, (NOTHING, Recap(ok=20))) == 0
        assert capsys.readouterr().err == told
        assert cli.main(["people", "list"]) == 0
        assert capsys.readouterr().err == told
    monkeypatch.setattr("hangar.checks.look", lambda: [checks.Finding("Python", "ok", "3.11")])
    assert cli.main(["doctor"]) == 0
    assert "! People  the day of ana is long past (2027-03-31)" in capsys.readouterr().out


GOOGLE = "cloud: gcp\ngcp: {project: acme-data-1, zone: europe-west6-a, machine_type: e2-standard-8}\n"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (GOOGLE,
         "  Airbyte: the embedded engine (large enough for the platform, but airbyte.abctl.sha256 vouches for no"
         " abctl)\n"),
        (f"{GOOGLE}airbyte: {{abctl: {{sha256: {'a' * 64}}}}}\n",
         "  Airbyte: the platform by abctl (large enough, and airbyte.abctl.sha256 says which abctl may be run)\n"),
        ("cloud: vm\n", "  Airbyte: the embedded engine (the platform is taken unasked only on Google Cloud)\n"),
        (f"{GOOGLE}airbyte: {{engine: embedded}}\n", ""),
        (f"{GOOGLE}airbyte: {{enabled: false}}\n", ""),
    ],
)  # fmt: skip
def test_the_engine_that_nobody_chose_is_named_with_the_reason(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], settings: str, line: str
) -> None:
    paths.platform_file("local").write_text(settings)
    run(monkeypatch, (CREATE, None))
    assert capsys.readouterr().out == (
        "+ machine hangar-local: create  (all CPUs, all memory)\n"
        f"{line}"
        "? on the machine: Ansible can say once it runs\n"
        "Make it so: ./provision.py up local\n"
    )


def test_nothing_to_do(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, (NOTHING, Recap(ok=20))) == 0
    assert capsys.readouterr().out == (
        "= machine hangar-local: no change  (all CPUs, all memory)\n= on the machine: no change\nNothing to do.\n"
    )


def test_changes_here_and_there(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recap = Recap(ok=20, changed=1, tasks=(TASK,), log=Path("/log"))
    assert run(monkeypatch, (UPDATE, recap)) == 4
    assert capsys.readouterr().out == (
        "~ machine hangar-local: update\n    memory: 6 GiB → 8 GiB\n"
        "~ on the machine: 1 task would change it\n    base: Packages | Install\n  Line by line: /log\n"
        "Make it so: ./provision.py up local\n"
    )


def test_a_guarded_machine_is_replaced_by_the_command_that_allows_it(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    anew = Change("machine hangar-local", "replace", "made again", (("image", "a", "b"),))
    run(monkeypatch, (Plan((anew,), guarded=True), None))
    assert capsys.readouterr().out.endswith("Make it so: ./provision.py up local --allow-replace\n")
    run(monkeypatch, (Plan((anew,)), None))
    assert capsys.readouterr().out.endswith("Make it so: ./provision.py up local\n")


def test_without_the_option_changes_are_no_failure(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(monkeypatch, (CREATE, None), exit_code=False) == 0


def test_a_program_reads_it_as_data(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recap = Recap(ok=20, changed=1, tasks=(TASK,), log=Path("/log"))
    run(monkeypatch, (UPDATE, recap), as_json=True)
    assert json.loads(capsys.readouterr().out) == {
        "machine": [
            {
                "resource": "machine hangar-local",
                "action": "update",
                "detail": "",
                "fields": [["memory", "6 GiB", "8 GiB"]],
            }
        ],
        "playbook": {"changed": 1, "tasks": [{"role": "base", "name": "Packages | Install"}], "log": "/log"},
    }


def test_a_program_reads_what_a_machine_in_a_cloud_costs_and_what_a_hand_changed(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cost = Cost(110.83, 208.66, "USD", "list prices", (("machine e2-standard-8", 195.66),))
    drift = ("firewall rule x: from: a → b",)
    run(monkeypatch, (Plan(UPDATE.changes, cost, drift, guarded=True), None), as_json=True)
    found = json.loads(capsys.readouterr().out)
    assert found["drift"] == list(drift)
    assert (found["cost"]["before"], found["cost"]["after"], found["cost"]["currency"]) == (
        110.83,
        208.66,
        "USD",
    )
    assert found["cost"]["items"] == [["machine e2-standard-8", 195.66]]
    run(monkeypatch, (Plan((CREATE.changes[0],), guarded=True), None), as_json=True)
    assert json.loads(capsys.readouterr().out)["drift"] == []
