import pytest

from hangar.plan import Change, Cost, Plan
from hangar.report import show_plan

WHY = "a machine type changes only on a stopped machine"


def test_a_plan_shows_what_how_why_by_whom_and_for_how_much(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(
        Plan(
            (
                Change("network x", "nothing"),
                Change("machine x", "restart", WHY, (("machine type", "e2-standard-4", "e2-standard-8"),)),
            ),
            cost=Cost(110.83, 208.66, "USD", "list prices"),
            drift=("firewall rule x: from: a → b",),
        )
    )
    assert capsys.readouterr().out == (
        "= network x: no change\n"
        f"! machine x: update with a stop  ({WHY})\n"
        "    machine type: e2-standard-4 → e2-standard-8\n"
        "! changed by hand: firewall rule x: from: a → b\n"
        "Cost: about 110.83 → 208.66 USD a month (list prices)\n"
    )


def test_what_goes_has_a_sign_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(Plan((Change("dashboard x", "delete", "16 panels"),)))
    assert capsys.readouterr().out == "- dashboard x: delete  (16 panels)\n"


@pytest.mark.parametrize("before", [None, 208.661])
def test_a_cost_that_stays_is_said_once(before: float | None, capsys: pytest.CaptureFixture[str]) -> None:
    show_plan(Plan((), cost=Cost(before, 208.66, "USD", "list prices")))
    assert capsys.readouterr().out == "Cost: about 208.66 USD a month (list prices)\n"
