"""What people and programs see of an upgrade."""

import argparse
import json
from collections.abc import Callable

import pytest

from hangar import console
from hangar.commands import upgrade
from hangar.errors import HangarError
from hangar.upgrade import attempt, show, stage
from hangar.upgrade.machine import facts
from hangar.upgrade.records import Cut, Facts, Group, Item, Plan, Platform, Refusal, Service

IMAGE = Group(
    "airflow", "Airflow's image, /opt/airflow/venv",
    (Item("apache-airflow", "3.3.1", "3.3.2"), Item("httpx", "0.27", ""), Item("idna", "", "3.20")),
    "containers stop and are made anew", ("apache-airflow",),
)  # fmt: skip
DEBIAN = Group("security", "Debian's security updates", (Item("libssl3t64", "3.5.1-1", "3.5.1-2"),))
PLAN = Plan(
    (DEBIAN, IMAGE), warnings=("Airflow's database is migrated for 3.3.2",), notes=("a reboot waits",)
)
SHOWN = """\
~ Debian's security updates: 1 change
    libssl3t64: 3.5.1-1 → 3.5.1-2
~ Airflow's image, /opt/airflow/venv: 3 changes  (containers stop and are made anew)
    apache-airflow: 3.3.1 → 3.3.2
    and 2 more (all of them: --json)
= a reboot waits
! Airflow's database is migrated for 3.3.2
"""


def run(
    monkeypatch: pytest.MonkeyPatch, found: Plan, *, as_json: bool = False, exit_code: bool = False
) -> int:
    monkeypatch.setattr(stage, "plan", lambda config: found)
    console.configure(json=as_json)
    args = argparse.Namespace(
        action="plan", environment="local", overrides=[], json=as_json, exit_code=exit_code
    )
    try:
        return upgrade.run(args)
    finally:
        console.configure()


@pytest.mark.usefixtures("repo")
class TestPlan:
    def test_what_would_change(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(monkeypatch, PLAN) == 0
        assert capsys.readouterr().out == f"{SHOWN}Make it so: ./provision.py upgrade apply local\n"

    def test_nothing(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(monkeypatch, Plan(), exit_code=True) == 0
        assert capsys.readouterr().out == "Nothing to upgrade.\n"

    @pytest.mark.parametrize(("asked", "code"), [(True, 4), (False, 0)])
    def test_a_program_learns_it_by_the_exit_code(
        self, monkeypatch: pytest.MonkeyPatch, asked: bool, code: int
    ) -> None:
        assert run(monkeypatch, PLAN, exit_code=asked) == code

    def test_a_refusal_says_what_to_do(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(monkeypatch, Plan((DEBIAN,), (Refusal("this checkout is older", "git pull"),)))
        assert capsys.readouterr().out.endswith(
            "✗ this checkout is older\n    git pull\nIt is not made by itself: see above.\n"
        )

    def test_a_refusal_alone_does_not_say_that_all_is_well(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert (
            run(monkeypatch, Plan(refusals=(Refusal("apt-get upgrades nothing", "mend it"),)), exit_code=True)
            == 4
        )
        assert capsys.readouterr().out.endswith("    mend it\nIt is not made by itself: see above.\n")

    def test_one_that_goes_on(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(monkeypatch, Plan(cut=Cut("2026-11-28T22:00:00Z", "aaaa", held=True)))
        assert "~ the upgrade of 2026-11-28T22:00:00Z that was cut short goes on\n" in capsys.readouterr().out

    def test_all_of_it_for_a_program(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        run(monkeypatch, PLAN, as_json=True)
        told = json.loads(capsys.readouterr().out)
        assert (told["changes"], told["drains"]) == (True, True)
        assert [item["name"] for item in told["groups"][1]["items"]] == ["apache-airflow", "httpx", "idna"]


@pytest.mark.usefixtures("repo")
def test_what_does_not_go_back_is_said_before_anybody_agrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Plan(
        (DEBIAN,), way_back=("It stays. What brings it back:", "./provision.py one", "./provision.py two")
    )
    told = "! It stays. What brings it back:\n    ./provision.py one\n    ./provision.py two\n"

    def applied(config: object, agree: Callable[[Plan], None], **_: object) -> attempt.Done:
        agree(found)
        raise AssertionError("nobody agreed")

    def asked(question: str) -> bool:
        assert told in capsys.readouterr().out
        return False

    monkeypatch.setattr(stage, "apply", applied)
    monkeypatch.setattr(console, "confirm", asked)
    args = argparse.Namespace(
        action="apply",
        environment="local",
        overrides=[],
        json=False,
        without_backup=False,
        minutes=1.0,
        break_lock=False,
    )
    with pytest.raises(HangarError, match=r"^hangar-local was left as it is\.$"):
        upgrade.run(args)


def test_what_was_done(capsys: pytest.CaptureFixture[str]) -> None:
    upgrade._say_done(attempt.Done(PLAN, (), "20261128T220000Z", ("base: Time is kept",)), "local")
    told = capsys.readouterr()
    assert told.out == (
        "The machine of local is upgraded; all that held before holds, and tasks begin again.\n"
        "The backup from before it: 20261128T220000Z\n"
    )
    assert told.err == "warning: These promises did not hold before, either: base: Time is kept\n"


def test_what_is_new_or_gone() -> None:
    assert show.words(Item("idna", "", "3.20")) == "idna: new → 3.20"
    assert show.words(Item("idna", "3.20", "")) == "idna: 3.20 → gone"


def test_a_machines_answer_as_a_record() -> None:
    said = {
        "simulated": "", "apt_problem": "", "revision": "aaaa", "drains": True, "postgres": {"airflow": "17"},
        "services": {"airflow": {"running": False, "outdated": True, "waiting": False}}, "chart": "", "reboot": False,
        "platform": {"port": 8000, "low_resource": False, "values": "1", "settings": {"a.b": "2"}},
        "lint": ["x"], "cut": {"since": "s", "revision": "r", "held": True, "broken": ["b"]},
    }  # fmt: skip
    assert facts(said) == Facts(
        revision="aaaa", services={"airflow": Service(outdated=True)}, postgres={"airflow": "17"}, lint=("x",),
        platform=Platform(8000, False, "1", {"a.b": "2"}), cut=Cut("s", "r", True, ("b",)),
    )  # fmt: skip
    without = facts({**said, "cut": None, "platform": None})
    assert (without.cut, without.platform) == (None, None)
