from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date

import pytest
import yaml

from hangar.cloud.gcp import cost
from hangar.cloud.gcp.names import Names
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted
from hangar.report.plan import cost_line

Make = Callable[..., Wanted]
DISK = {"type": "zones/z/diskTypes/pd-balanced", "sizeGb": "100"}
MACHINE = {"machineType": "zones/z/machineTypes/e2-standard-4", "status": "RUNNING"}


def test_a_new_machine_costs_its_hours_and_its_disks(wanted: Make) -> None:
    found = cost.estimate(wanted(), Existing())
    assert found.before is None
    assert found.after == pytest.approx(730 * 4 * 0.0438913 + 30 * 0.13 + 100 * 0.13)
    assert [what for what, _ in found.items] == [
        "machine e2-standard-4", "boot disk, 30 GiB pd-balanced", "data disk, 100 GiB pd-balanced",
    ]  # fmt: skip
    assert found.note.startswith(
        "list prices of europe-west6 of 2026-07-30; traffic, NAT, logs and snapshots come on top"
    )


def test_a_stopped_machine_costs_its_disks(wanted: Make) -> None:
    stopped = Existing(instance={**MACHINE, "status": "TERMINATED"}, data_disk=DISK)
    assert cost.estimate(wanted(), stopped).before == pytest.approx(13.0)
    assert cost.estimate(wanted(), Existing(instance=MACHINE, data_disk=DISK)).before == pytest.approx(
        141.16, abs=0.01
    )


def test_a_larger_shape_costs_in_proportion(wanted: Make) -> None:
    assert cost.estimate(wanted(machine_type="n2-standard-8"), Existing()).items[0][1] == pytest.approx(
        730 * 8 * 0.063613
    )


@pytest.mark.parametrize(
    ("zone", "after"), [("us-central1-a", 110.83), ("europe-west3-b", 141.65), ("asia-east1-c", 126.28)]
)
def test_a_region_has_prices_of_its_own(wanted: Make, zone: str, after: float) -> None:
    there = replace(wanted(), names=Names("production", "acme-data-1", zone))
    assert cost.estimate(there, Existing()).after == pytest.approx(after, abs=0.01)


def test_a_region_that_the_table_does_not_have_is_not_priced_as_another(wanted: Make) -> None:
    there = replace(wanted(), names=Names("production", "acme-data-1", "moon-north1-a"))
    found = cost.estimate(there, Existing())
    assert (found.after, found.unpriced) == (
        None, ("machine_hour.e2-standard-4", "disk_gib_month.pd-balanced")
    )  # fmt: skip


def test_the_tables_figures_are_of_one_day_and_of_their_size() -> None:
    """The day that is told is the oldest figure's: all are of one list"""
    told = yaml.safe_load(cost.TABLE.read_text())
    assert date.fromisoformat(told["as_of"]) > date(2026, 1, 1)
    assert told["standard_vcpu_hour"].keys() == told["disk_gib_month"].keys()
    for region, prices in told["disk_gib_month"].items():
        assert prices.keys() == {"pd-standard", "pd-balanced", "pd-ssd"}, region
        assert prices["pd-standard"] < prices["pd-balanced"] < prices["pd-ssd"], region
        hours = told["standard_vcpu_hour"][region]
        assert all(0.02 < price < 0.1 for price in hours.values()), region


def test_what_has_no_price_leaves_no_sum(wanted: Make) -> None:
    found = cost.estimate(wanted(machine_type="e2-highmem-8"), Existing(instance=MACHINE, data_disk=DISK))
    assert (found.before, found.after) == (pytest.approx(141.16, abs=0.01), None)
    assert (found.unpriced_before, found.unpriced) == ((), ("machine_hour.e2-highmem-8",))
    assert found.note.endswith("; no price for machine_hour.e2-highmem-8: add to gcp.prices")
    assert cost_line(found) == f"Cost: about 141.16 USD a month → not known ({found.note})"
    machine = {**MACHINE, "machineType": "zones/z/machineTypes/e2-highmem-8"}
    back = cost.estimate(wanted(), Existing(instance=machine, data_disk=DISK))
    assert (back.before, back.after) == (None, pytest.approx(145.06, abs=0.01))
    assert (back.unpriced_before, back.unpriced) == (("machine_hour.e2-highmem-8",), ())
    assert cost_line(back) == f"Cost: not known → about 145.06 USD a month ({back.note})"
    new = cost.estimate(wanted(machine_type="e2-highmem-8"), Existing())
    assert cost_line(new) == f"Cost: not known ({new.note})"


def test_your_own_prices_are_stronger(wanted: Make) -> None:
    prices = {"currency": "CHF", "machine_hour": {"e2-standard-4": 1}, "disk_gib_month": {"pd-balanced": 0}}
    found = cost.estimate(wanted(prices=prices), Existing())
    assert (found.after, found.currency) == (730, "CHF")
    assert found.note.startswith("your prices; traffic")
    dollars = cost.estimate(wanted(prices={"machine_hour": {"e2-standard-4": 1}}), Existing())
    assert (dollars.after, dollars.currency) == (pytest.approx(746.9), "USD")
    assert dollars.note.startswith("your prices, else list prices of europe-west6 of 2026-07-30")


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
