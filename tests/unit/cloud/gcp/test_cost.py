from __future__ import annotations

from collections.abc import Callable

import pytest

from hangar.cloud.gcp import cost
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.report.plan import cost_line

Make = Callable[..., Wanted]
DISK = {"type": "zones/z/diskTypes/pd-balanced", "sizeGb": "100"}
MACHINE = {"machineType": "zones/z/machineTypes/e2-standard-4", "status": "RUNNING"}


def test_a_new_machine_costs_its_hours_and_its_disks(wanted: Make) -> None:
    found = cost.estimate(wanted(), Existing())
    assert found.before is None
    assert found.after == pytest.approx(730 * 0.134012 + 30 * 0.10 + 100 * 0.10)
    assert [what for what, _ in found.items] == [
        "machine e2-standard-4", "boot disk, 30 GiB pd-balanced", "data disk, 100 GiB pd-balanced",
    ]  # fmt: skip
    assert found.note.startswith(
        "list prices of us-central1, 2026-11-21; traffic, NAT, logs and snapshots come on top"
    )


def test_a_stopped_machine_costs_its_disks(wanted: Make) -> None:
    stopped = Existing(instance={**MACHINE, "status": "TERMINATED"}, data_disk=DISK)
    assert cost.estimate(wanted(), stopped).before == pytest.approx(10.0)
    assert cost.estimate(wanted(), Existing(instance=MACHINE, data_disk=DISK)).before == pytest.approx(
        107.83, abs=0.01
    )


def test_a_larger_shape_costs_in_proportion(wanted: Make) -> None:
    assert cost.estimate(wanted(machine_type="n2-standard-8"), Existing()).items[0][1] == pytest.approx(
        730 * 2 * 0.194236
    )


def test_what_has_no_price_leaves_no_sum(wanted: Make) -> None:
    found = cost.estimate(wanted(machine_type="e2-highmem-8"), Existing(instance=MACHINE, data_disk=DISK))
    assert (found.before, found.after) == (pytest.approx(107.83, abs=0.01), None)
    assert (found.unpriced_before, found.unpriced) == ((), ("machine_hour.e2-highmem-8",))
    assert found.note.endswith("; no price for machine_hour.e2-highmem-8: add to gcp.prices")
    assert cost_line(found) == f"Cost: about 107.83 USD a month → not known ({found.note})"
    machine = {**MACHINE, "machineType": "zones/z/machineTypes/e2-highmem-8"}
    back = cost.estimate(wanted(), Existing(instance=machine, data_disk=DISK))
    assert (back.before, back.after) == (None, pytest.approx(110.83, abs=0.01))
    assert (back.unpriced_before, back.unpriced) == (("machine_hour.e2-highmem-8",), ())
    assert cost_line(back) == f"Cost: not known → about 110.83 USD a month ({back.note})"
    new = cost.estimate(wanted(machine_type="e2-highmem-8"), Existing())
    assert cost_line(new) == f"Cost: not known ({new.note})"


def test_your_own_prices_are_stronger(wanted: Make) -> None:
    prices = {"currency": "CHF", "machine_hour": {"e2-standard-4": 1}, "disk_gib_month": {"pd-balanced": 0}}
    found = cost.estimate(wanted(prices=prices), Existing())
    assert (found.after, found.currency) == (730, "CHF")
    assert found.note.startswith("your prices; traffic")
    dollars = cost.estimate(wanted(prices={"machine_hour": {"e2-standard-4": 1}}), Existing())
    assert (dollars.after, dollars.currency) == (pytest.approx(743.0), "USD")
    assert dollars.note.startswith("your prices, else list prices of us-central1")


def test_prices_of_another_currency_are_not_added_up(wanted: Make) -> None:
    prices = {"currency": "EUR", "machine_hour": {"e2-standard-4": 0.1}}
    found = cost.estimate(wanted(prices=prices), Existing(instance=MACHINE, data_disk=DISK))
    assert (found.before, found.after, found.currency) == (None, None, "EUR")
    assert found.items == (("machine e2-standard-4", pytest.approx(73.0)),)
    assert found.unpriced_before == found.unpriced == ("disk_gib_month.pd-balanced",)
    assert found.note == (
        "your prices; traffic, NAT, logs and snapshots come on top;"
        " no price for disk_gib_month.pd-balanced: add to gcp.prices"
    )
