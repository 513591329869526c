from __future__ import annotations

from collections.abc import Callable

import pytest

from hangar.cloud.gcp import cost
from hangar.cloud.gcp.reading import Existing
from hangar.cloud.gcp.requests import Wanted

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


def test_what_has_no_price_is_named_and_not_guessed(wanted: Make) -> None:
    found = cost.estimate(wanted(machine_type="c3-highmem-4"), Existing())
    assert found.after == pytest.approx(13.0)
    assert found.note.endswith("; without machine_hour.c3-highmem-4: add to gcp.prices")


def test_your_own_prices_are_stronger(wanted: Make) -> None:
    prices = {"currency": "CHF", "machine_hour": {"e2-standard-4": 1}, "disk_gib_month": {"pd-balanced": 0}}
    found = cost.estimate(wanted(prices=prices), Existing())
    assert (found.after, found.currency) == (730, "CHF")
    assert found.note.startswith("your prices, else list prices of us-central1")
