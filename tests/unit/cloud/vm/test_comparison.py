from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from hangar.cloud.base import MachineSpec
from hangar.cloud.vm.comparison import Observed, make_plan
from hangar.config.vm import Vm
from hangar.errors import CloudError
from hangar.plan import Change

SPEC = MachineSpec("local", "hangar-local", 2, 6 * 2**30, None, "hangar", "ssh-ed25519 AAAA me")
THERE = Observed(running=True, spec=SPEC, sizes=Vm(), recipe="one")


def plan(
    observed: Observed | None, *, sizes: Vm | None = None, recipe: str = "one", **changes: Any
) -> Change:
    (change,) = make_plan(replace(SPEC, **changes), sizes or Vm(), recipe, observed).changes
    return change


def test_a_machine_that_is_not_there_is_made() -> None:
    assert plan(None).action == "create"


def test_a_machine_that_fits_is_left_alone() -> None:
    assert plan(THERE).action == "nothing"


def test_a_machine_that_is_off_is_started() -> None:
    assert (plan(replace(THERE, running=False)).action, plan(replace(THERE, running=False)).detail) == (
        "update",
        "start it",
    )


def test_another_size_stops_the_machine_and_keeps_its_disks() -> None:
    change = plan(THERE, cpus=4, memory_bytes=8 * 2**30)
    assert change.action == "restart"
    assert change.fields == (("cpus", "2", "4"), ("memory", "6 GiB", "8 GiB"))


def test_a_disk_grows_at_the_next_start() -> None:
    change = plan(THERE, sizes=Vm(data_disk_gb=80))
    assert (change.action, change.fields) == ("restart", (("data disk", "60 GiB", "80 GiB"),))


def test_a_disk_never_shrinks() -> None:
    with pytest.raises(CloudError) as refused:
        plan(THERE, sizes=Vm(boot_disk_gb=10))
    assert refused.value.brief == "A disk only grows: the system disk has 20 GiB."
    assert refused.value.resolution == (
        "Set vm.boot_disk_gb to 20 or more in platform.yml, or begin anew: ./provision.py destroy local"
    )


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"admin": "ada"}, "administrator"),
        ({"public_key": "ssh-ed25519 BBBB other"}, "administrator's key"),
        ({"recipe": "two"}, "system disk's recipe"),
    ],
)
def test_what_only_a_new_machine_takes_on_makes_it_anew(changes: dict[str, Any], field: str) -> None:
    change = plan(THERE, **changes)
    assert (change.action, change.detail) == ("replace", "made again; /srv is kept")
    assert field in [name for name, _, _ in change.fields]
